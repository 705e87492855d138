/* fs/layer/index, inflate, unpack, tree: what is built is read again; what is damaged is refused */
#include "test/unit/unit.h"

#include "base/buf.h"
#include "base/mem.h"
#include "fs/layer/index_format.h"
#include "fs/layer/unpack.h"
#include "test/unit/fs/layer/tar_make.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#define FILE_LEN (5 * 1024 * 1024 + 77)

static void tar_make(struct buf *t)
{
	char *text = mem_alloc(FILE_LEN + 1);
	uint32_t x = 1;

	for (size_t i = 0; i < FILE_LEN; i++) {
		x = x * 1103515245 + 12345;
		text[i] = (char)('a' + (x >> 16) % 19);
	}
	t->len_max = 32 << 20;
	tar_put(t, "d/", '5', 0, NULL);
	tar_put_data(t, "d/f", '0', text, FILE_LEN);
	tar_put(t, "d/.wh.gone", '0', 0, NULL);
	tar_put(t, "d/link", '1', 0, "d/f");
	tar_finish(t);
	free(text);
}

/* One gzip member; ISA-L begins a block at least every so many bytes of its input buffer. */
static void gzip_put(struct buf *out, const char *data, size_t len)
{
	static uint8_t level[ISAL_DEF_LVL1_DEFAULT];
	struct isal_zstream z;
	char part[65536];

	isal_deflate_init(&z);
	z.level = 1;
	z.level_buf = level;
	z.level_buf_size = sizeof(level);
	z.gzip_flag = IGZIP_GZIP;
	z.next_in = (uint8_t *)(uintptr_t)data;
	z.avail_in = (uint32_t)len;
	z.end_of_stream = 1;
	do {
		z.next_out = (uint8_t *)part;
		z.avail_out = sizeof(part);
		assert_int_equal(isal_deflate(&z), COMP_OK);
		buf_append(out, part, sizeof(part) - z.avail_out);
	} while (z.internal_state.state != ZSTATE_END);
}

static void compress(enum layer_compression how, size_t parts, const struct buf *tar,
		     struct buf *out)
{
	size_t step = tar->len / parts + 1;

	out->len_max = 32 << 20;
	for (size_t at = 0; at < tar->len; at += step) {
		size_t n = tar->len - at < step ? tar->len - at : step;
		size_t max = ZSTD_compressBound(n);
		cleanup(free_at) char *z = mem_alloc(max);

		if (how == LAYER_PLAIN)
			buf_append(out, tar->data + at, n);
		else if (how == LAYER_GZIP)
			gzip_put(out, tar->data + at, n);
		else
			buf_append(out, z, ZSTD_compress(z, max, tar->data + at, n, 1));
	}
}

static int build(const struct buf *blob, const struct index_options *options, size_t step,
		 int *fd_out, struct layer_info *info, struct err *e)
{
	struct index_build *b;
	int fd = memfd_create("index", 0), r = index_build_new(options, &b, e);

	assert_true(fd >= 0);
	for (size_t at = 0; r == 0 && at < blob->len; at += step)
		r = index_build_feed(b, blob->data + at,
				     blob->len - at < step ? blob->len - at : step, e);
	if (r == 0)
		r = index_build_end(b, fd, info, e);
	index_build_free(b);
	*fd_out = fd;
	return r;
}

struct reading {
	const struct buf *blob, *tar;
	uint64_t in_from, in_end, out_from, out_end;
};

static ssize_t read_blob(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct reading *rd = arg;

	assert_true(offset >= rd->in_from && offset + len <= rd->in_end);
	if (len > 1000)
		len = 1000; /* short reads are fine */
	memcpy(buf, rd->blob->data + offset, len);
	return (ssize_t)len;
}

static int got_block(void *arg, uint64_t offset, const void *data, size_t len, struct err *e)
{
	struct reading *rd = arg;

	(void)e;
	assert_int_equal(offset, rd->out_from);
	assert_true(len == LAYER_BLOCK_LEN || offset + len == rd->tar->len);
	assert_memory_equal(data, rd->tar->data + offset, len);
	rd->out_from += len;
	return 0;
}

static int read_range(const struct layer_index *ix, const struct buf *blob, const struct buf *tar,
		      uint64_t offset, uint64_t len, struct err *e)
{
	struct reading rd = {.blob = blob, .tar = tar};
	struct unpack_io io = {read_blob, got_block, &rd};
	struct unpack_plan plan;
	int r = unpack_plan(ix, offset, len, &plan, e);

	if (r < 0)
		return r;
	assert_true(plan.out_offset <= offset && plan.out_offset + plan.out_len >= offset + len);
	rd.in_from = plan.in_offset;
	rd.in_end = plan.in_offset + plan.in_len;
	rd.out_from = plan.out_offset;
	assert_true(rd.in_end <= blob->len);
	r = unpack_range(ix, offset, len, &io, e);
	if (r == 0)
		assert_int_equal(rd.out_from, plan.out_offset + plan.out_len);
	return r;
}

static void reads_everywhere(enum layer_compression how, size_t parts, uint32_t checkpoints_min)
{
	struct buf tar = BUF_INIT(0), blob = BUF_INIT(0);
	struct index_options options = {.span_len = 300000};
	struct layer_info info;
	struct layer_index *ix;
	struct err e;
	int fd;

	tar_make(&tar);
	compress(how, parts, &tar, &blob);
	assert_int_equal(build(&blob, &options, 7777, &fd, &info, &e), 0);
	assert_int_equal(info.len, tar.len);
	assert_int_equal(info.compression, how);
	assert_true(info.checkpoint_count >= checkpoints_min);
	assert_int_equal(info.inode_count, 4);
	assert_int_equal(index_open(fd, &ix, &e), 0);
	close(fd);
	assert_string_equal(index_info(ix)->diff_id, info.diff_id);
	for (uint64_t at = 0; at < tar.len; at += 499979)
		assert_int_equal(read_range(ix, &blob, &tar, at, 1, &e), 0);
	assert_int_equal(read_range(ix, &blob, &tar, 0, tar.len, &e), 0);
	assert_int_equal(read_range(ix, &blob, &tar, tar.len - 1, 1, &e), 0);
	assert_int_equal(read_range(ix, &blob, &tar, tar.len, 1, &e), -EINVAL);
	assert_int_equal(read_range(ix, &blob, &tar, 0, 0, &e), -EINVAL);
	index_free(ix);
	buf_release(&tar);
	buf_release(&blob);
}

static void plain_layers_are_read_at_random(void **state)
{
	(void)state;
	reads_everywhere(LAYER_PLAIN, 1, 1);
}

static void one_gzip_member_is_read_at_random(void **state)
{
	(void)state;
	reads_everywhere(LAYER_GZIP, 1, 8);
}

static void many_gzip_members_are_read_at_random(void **state)
{
	(void)state;
	reads_everywhere(LAYER_GZIP, 100, 8);
}

static void many_zstd_frames_are_read_at_random(void **state)
{
	(void)state;
	reads_everywhere(LAYER_ZSTD, 10, 8);
}

static void one_zstd_frame_has_one_checkpoint_and_says_so(void **state)
{
	struct buf tar = BUF_INIT(0), blob = BUF_INIT(0);
	struct layer_info info;
	struct err e;
	int fd;

	(void)state;
	tar_make(&tar);
	compress(LAYER_ZSTD, 1, &tar, &blob);
	assert_int_equal(build(&blob, NULL, 65536, &fd, &info, &e), 0);
	assert_int_equal(info.checkpoint_count, 1);
	assert_int_equal(info.span_len_max, tar.len);
	close(fd);
	buf_release(&tar);
	buf_release(&blob);
}

/* Of a good layer and its index: one byte of either is changed. */
static void one_changed_byte_never_gives_wrong_bytes(void **state)
{
	struct buf tar = BUF_INIT(0), blob = BUF_INIT(0);
	struct index_options options = {.span_len = 300000};
	struct layer_info info;
	struct layer_index *ix;
	uint64_t refused = 0;
	struct err e;
	off_t len;
	int fd;

	(void)state;
	tar_make(&tar);
	compress(LAYER_GZIP, 1, &tar, &blob);
	assert_int_equal(build(&blob, &options, 65536, &fd, &info, &e), 0);
	assert_int_equal(index_open(fd, &ix, &e), 0);
	for (size_t at = 5000; at < blob.len; at += blob.len / 9) {
		blob.data[at] ^= 4;
		refused += read_range(ix, &blob, &tar, 0, tar.len, &e) < 0;
		blob.data[at] ^= 4;
	}
	assert_true(refused >= 8);
	index_free(ix);
	len = lseek(fd, 0, SEEK_END);
	for (off_t at = 0; at < len; at += at < 600 ? 7 : 2003) {
		int image = memfd_create("erofs", 0), r;
		char c;

		assert_int_equal(pread(fd, &c, 1, at), 1);
		c ^= 1;
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
		r = index_open(fd, &ix, &e);
		if (r == 0) {
			r = index_erofs_write(ix, image, &e);
			if (r == 0) /* then it is a window's */
				r = read_range(ix, &blob, &tar, 0, 1, &e);
			index_free(ix);
		} else {
			assert_int_equal(r, -EBADMSG);
		}
		c ^= 1;
		assert_int_equal(pwrite(fd, &c, 1, at), 1);
		close(image);
	}
	close(fd);
	buf_release(&tar);
	buf_release(&blob);
}

static void an_index_that_is_cut_or_longer_is_refused(void **state)
{
	struct buf tar = BUF_INIT(0);
	struct layer_info info;
	struct layer_index *ix;
	struct err e;
	off_t len;
	int fd;

	(void)state;
	tar_put(&tar, "f", '0', 3000, NULL);
	tar_finish(&tar);
	assert_int_equal(build(&tar, NULL, 100, &fd, &info, &e), 0);
	len = lseek(fd, 0, SEEK_END);
	assert_int_equal(ftruncate(fd, len + 1), 0);
	assert_int_equal(index_open(fd, &ix, &e), -EBADMSG);
	for (; len-- > 0; len -= 13) {
		assert_int_equal(ftruncate(fd, len), 0);
		assert_int_equal(index_open(fd, &ix, &e), -EBADMSG);
	}
	close(fd);
	buf_release(&tar);
}

static void fails(const struct buf *blob, const struct index_options *options, int code)
{
	struct layer_info info;
	struct err e = {0};
	int fd;

	assert_int_equal(build(blob, options, 65536, &fd, &info, &e), -code);
	assert_true(e.text[0]);
	close(fd);
}

static void a_layer_of_another_digest_is_refused(void **state)
{
	struct index_options digest = {.digest = "0000000000000000000000000000000000000000000000"
						 "000000000000000000"};
	struct index_options diff_id = {.diff_id = digest.digest};
	struct buf tar = BUF_INIT(0);

	(void)state;
	tar_finish(&tar);
	fails(&tar, &digest, EBADMSG);
	fails(&tar, &diff_id, EBADMSG);
	buf_release(&tar);
}

static void broken_streams_are_refused(void **state)
{
	struct buf tar = BUF_INIT(0), gz = BUF_INIT(0), zst = BUF_INIT(0);

	(void)state;
	tar_put(&tar, "f", '0', 30000, NULL);
	tar_finish(&tar);
	compress(LAYER_GZIP, 1, &tar, &gz);
	compress(LAYER_ZSTD, 1, &tar, &zst);
	gz.len--;
	zst.len--;
	fails(&gz, NULL, EBADMSG);
	fails(&zst, NULL, EBADMSG);
	gz.len++;
	gz.data[gz.len - 6] ^= 1; /* the CRC */
	fails(&gz, NULL, EBADMSG);
	gz.data[gz.len - 6] ^= 1;
	buf_puts(&gz, "behind");
	fails(&gz, NULL, EBADMSG);
	buf_release(&tar);
	buf_release(&gz);
	buf_release(&zst);
}

static void trees_that_cannot_be_told_are_refused(void **state)
{
	static const struct {
		const char *name;
		char type;
		const char *link;
		int code;
	} cases[] = {
		{"l", '1', "of/a/lower/layer", ENOTSUP},
		{"f/below", '0', NULL, ENOTSUP},
		{"loop/x", '0', NULL, ENOTSUP},
		{".wh.", '0', NULL, EBADMSG},
		{".wh...", '0', NULL, EBADMSG},
		{"./", '0', NULL, EBADMSG},
		{"empty", '2', "", EBADMSG},
		{"l", '1', "d", ENOTSUP},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct buf t = BUF_INIT(0);

		tar_put(&t, "f", '0', 10, NULL);
		tar_put(&t, "d/", '5', 0, NULL);
		tar_put(&t, "loop", '2', 0, "loop");
		tar_put(&t, cases[i].name, cases[i].type, 0, cases[i].link);
		tar_finish(&t);
		fails(&t, NULL, cases[i].code);
		buf_release(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_layers_are_read_at_random),
		cmocka_unit_test(one_gzip_member_is_read_at_random),
		cmocka_unit_test(many_gzip_members_are_read_at_random),
		cmocka_unit_test(many_zstd_frames_are_read_at_random),
		cmocka_unit_test(one_zstd_frame_has_one_checkpoint_and_says_so),
		cmocka_unit_test(one_changed_byte_never_gives_wrong_bytes),
		cmocka_unit_test(an_index_that_is_cut_or_longer_is_refused),
		cmocka_unit_test(a_layer_of_another_digest_is_refused),
		cmocka_unit_test(broken_streams_are_refused),
		cmocka_unit_test(trees_that_cannot_be_told_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
