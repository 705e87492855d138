/* fs/layer/toc_index, chunks: a layer read by its own table of contents is the same layer */
#include "test/unit/unit.h"

#include "fs/layer/erofs_format.h"
#include "fs/layer/index_format.h"
#include "fs/layer/unpack.h"
#include "test/unit/fs/layer/toc_make.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BIG (3 * 1024 * 1024 + 77)

static char *noise(size_t len)
{
	char *text = mem_alloc(len + 1);
	uint32_t x = 7;

	for (size_t i = 0; i < len; i++) {
		x = x * 1103515245 + 12345;
		text[i] = (char)('a' + (x >> 16) % 19);
	}
	return text;
}

static void make(struct toc_maker *m, enum layer_toc kind)
{
	char *data = noise(BIG), name[32];

	toc_make_begin(m, kind);
	toc_put(m, "d/", "dir", '5', "");
	toc_put_file(m, "d/first", data + 5, 1000, 4096);
	toc_put_file(m, ".prefetch.landmark", "\xf", 1, 4096);
	toc_put_file(m, "d/big", data, BIG, 1500 * 1000);
	toc_put(m, "d/.wh.gone", "reg", '0', "");
	toc_put(m, "d/link", "hardlink", '1', "d/big");
	toc_put(m, "s", "symlink", '2', "d/link");
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "d/small%d", i);
		toc_put_file(m, name, data + i, 8000, 3000);
	}
	toc_put(m, "d/empty", "reg", '0', "");
	toc_make_end(m);
	free(data);
}

static int write_index(const struct toc_layer *l, const struct toc_maker *m, int *fd_out,
		       struct layer_info *info, struct err *e)
{
	*fd_out = memfd_create("index", 0);
	assert_true(*fd_out >= 0);
	return toc_index_write(l, m->blob.data + l->place.offset, *fd_out, info, e);
}

static struct layer_index *open_index(const struct toc_maker *m, struct layer_info *info)
{
	struct toc_layer l = toc_made(m);
	struct layer_index *ix = NULL;
	struct err e = {0};
	int fd;

	if (write_index(&l, m, &fd, info, &e) < 0 || index_open(fd, &ix, &e) < 0)
		fail_msg("%s", e.text);
	close(fd);
	return ix;
}

static struct layer_index *open_by_tar(const struct toc_maker *m)
{
	const struct index_options o = {.dir = "/tmp"};
	int fd = memfd_create("index", 0);
	struct layer_index *ix = NULL;
	struct index_build *b;
	struct err e = {0};

	if (index_build_new(&o, &b, &e) < 0 ||
	    index_build_feed(b, m->blob.data, m->blob.len, &e) < 0 ||
	    index_build_end(b, fd, NULL, &e) < 0 || index_open(fd, &ix, &e) < 0)
		fail_msg("%s", e.text);
	index_build_free(b);
	close(fd);
	return ix;
}

/* ---- reading */

struct reading {
	const struct toc_maker *m;
	char *layer;
	uint64_t next;		   /* byte that a block must begin with */
	uint64_t from, end, bytes; /* of the blob */
	unsigned blocks;
};

static ssize_t read_blob(void *arg, uint64_t offset, void *buf, size_t len)
{
	struct reading *r = arg;

	assert_true(offset >= r->from && offset + len <= r->end);
	if (len > 10000)
		len = 10000; /* short reads are fine */
	memcpy(buf, r->m->blob.data + offset, len);
	r->bytes += len;
	return (ssize_t)len;
}

static int got_block(void *arg, uint64_t offset, const void *data, size_t len, struct err *e)
{
	struct reading *r = arg;

	(void)e;
	assert_int_equal(offset, r->next);
	memcpy(r->layer + offset, data, len);
	r->next = offset + len;
	r->blocks++;
	return 0;
}

static int read_range(const struct layer_index *ix, struct reading *r, uint64_t offset,
		      uint64_t len, struct err *e)
{
	const struct unpack_io io = {read_blob, got_block, r};
	struct unpack_plan plan;
	int result = unpack_plan(ix, offset, len, &plan, e);

	if (result < 0)
		return result;
	assert_true(plan.out_offset <= offset && plan.out_offset + plan.out_len >= offset + len);
	r->next = plan.out_offset;
	r->from = plan.in_offset;
	r->end = plan.in_offset + plan.in_len;
	return unpack_range(ix, offset, len, &io, e);
}

static struct buf image_of(const struct layer_index *ix)
{
	struct buf b = BUF_INIT(0);
	int fd = memfd_create("erofs", 0);
	struct err e = {0};
	char part[4096];
	ssize_t n;

	assert_int_equal(index_erofs_write(ix, fd, &e), 0);
	while ((n = pread(fd, part, sizeof(part), (off_t)b.len)) > 0)
		buf_append(&b, part, (size_t)n);
	close(fd);
	return b;
}

static uint64_t place_of(const char *word)
{
	const struct erofs_chunk *c = (const void *)word;

	assert_int_equal(le16toh(c->device), 1);
	return ((uint64_t)le16toh(c->block_high) << 32 | le32toh(c->block)) * 512;
}

#define TREE_OFFSET 1536 /* before that are the lengths of the devices */

/* Both images are the same but for where the data are, and there are the same data. */
static void assert_same_tree(const struct buf *by_tar, const struct toc_maker *m,
			     const struct buf *by_toc, const char *layer, uint64_t layer_len)
{
	unsigned moved = 0;

	assert_int_equal(by_tar->len, by_toc->len);
	for (size_t i = TREE_OFFSET; i < by_tar->len; i += 8) {
		uint64_t a, b;

		if (memcmp(by_tar->data + i, by_toc->data + i, 8) == 0)
			continue;
		a = place_of(by_tar->data + i);
		b = place_of(by_toc->data + i);
		assert_true(a + 512 <= m->tar.len && b + 512 <= layer_len);
		assert_memory_equal(m->tar.data + a, layer + b, 512);
		moved++;
	}
	assert_true(moved > 300);
}

static void is_the_same(enum layer_toc kind)
{
	struct toc_maker m cleanup(toc_make_release);
	struct layer_index *ix, *by_tar;
	struct reading r = {.m = &m};
	struct layer_info info;
	struct buf a, b;
	struct err e = {0};

	make(&m, kind);
	ix = open_index(&m, &info);
	by_tar = open_by_tar(&m);
	r.layer = mem_alloc(info.len);
	if (read_range(ix, &r, 0, info.len, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(r.next, info.len);
	assert_true(r.blocks >= 4 && r.blocks == index_block_count(ix));
	a = image_of(by_tar);
	b = image_of(ix);
	assert_same_tree(&a, &m, &b, r.layer, info.len);
	assert_int_equal(index_info(by_tar)->inode_count, info.inode_count);
	assert_int_equal(index_info(by_tar)->toc, kind);
	assert_string_equal(index_info(by_tar)->id, m.digest);
	assert_string_equal(index_info(ix)->diff_id, m.diff_id);
	assert_string_equal(index_info(ix)->toc_digest, m.toc_digest);
	assert_string_equal(index_info(ix)->id, info.id);
	assert_string_not_equal(info.id, m.digest);
	/* What is before the landmark: d/first. */
	assert_int_equal(index_info(ix)->prefetch_len, 1024);
	assert_int_equal(index_info(by_tar)->prefetch_len, 512 + 512 + 1024 + 512);
	buf_release(&a);
	buf_release(&b);
	free(r.layer);
	index_free(ix);
	index_free(by_tar);
}

static void an_estargz_layer_is_the_same_by_its_table(void **state)
{
	(void)state;
	is_the_same(LAYER_TOC_ESTARGZ);
}

static void a_zstd_chunked_layer_is_the_same_by_its_table(void **state)
{
	(void)state;
	is_the_same(LAYER_TOC_ZSTD_CHUNKED);
}

static void one_block_takes_its_own_bytes_only(void **state)
{
	struct toc_maker m cleanup(toc_make_release);
	struct reading r = {.m = &m};
	struct layer_index *ix;
	struct layer_info info;
	uint64_t off, len;
	struct err e = {0};

	(void)state;
	make(&m, LAYER_TOC_ESTARGZ);
	ix = open_index(&m, &info);
	r.layer = mem_alloc(info.len);
	for (uint64_t no = 0; no < index_block_count(ix); no++) {
		index_block_extent(ix, no, &off, &len);
		assert_int_equal(index_block_at(ix, off), no);
		assert_int_equal(index_block_at(ix, off + len - 1), no);
		assert_int_equal(unpack_span_end(ix, off), off + len);
		r.blocks = 0;
		r.bytes = 0;
		assert_int_equal(read_range(ix, &r, off + len / 2, 1, &e), 0);
		assert_int_equal(r.blocks, 1);
		assert_true(r.bytes < m.blob.len / 2);
		assert_int_equal(index_block_check(ix, no, r.layer + off, len, &e), 0);
		r.layer[off + len - 1] ^= 1;
		assert_int_equal(index_block_check(ix, no, r.layer + off, len, &e), -EBADMSG);
	}
	assert_int_equal(index_block_check(ix, index_block_count(ix), r.layer, 1, &e), -EINVAL);
	free(r.layer);
	index_free(ix);
}

static void one_changed_byte_is_never_served(void **state)
{
	struct toc_maker m cleanup(toc_make_release);
	struct reading r = {.m = &m};
	struct layer_index *ix;
	struct layer_info info;
	struct err e = {0};
	char *good;

	(void)state;
	make(&m, LAYER_TOC_ZSTD_CHUNKED);
	ix = open_index(&m, &info);
	r.layer = mem_alloc(info.len);
	assert_int_equal(read_range(ix, &r, 0, info.len, &e), 0);
	good = mem_dup(r.layer, info.len);
	for (size_t at = 200; at < m.toc_offset; at += m.toc_offset / 60) {
		int result;

		memset(r.layer, 0, info.len);
		m.blob.data[at] ^= 0x10;
		result = read_range(ix, &r, 0, info.len, &e);
		m.blob.data[at] ^= 0x10;
		/* Headers of the tar are nobody's bytes. */
		assert_true(result == -EBADMSG || result == 0);
		assert_memory_equal(r.layer, good, r.next);
		assert_true(result < 0 || r.next == info.len);
	}
	free(good);
	free(r.layer);
	index_free(ix);
}

static void the_whole_is_compared_with_the_diff_id(void **state)
{
	struct toc_maker m cleanup(toc_make_release);
	struct reading r = {.m = &m};
	const struct unpack_io io = {.read = read_blob, .arg = &r};
	struct layer_index *ix;
	struct layer_info info;
	struct err e = {0};

	(void)state;
	make(&m, LAYER_TOC_ESTARGZ);
	r.end = m.blob.len;
	ix = open_index(&m, &info);
	assert_int_equal(unpack_check_diff(ix, &io, &e), 0);
	index_free(ix);
	m.diff_id[5] = m.diff_id[5] == '0' ? '1' : '0';
	ix = open_index(&m, &info);
	assert_int_equal(unpack_check_diff(ix, &io, &e), -EBADMSG);
	index_free(ix);
}

/* ---- refusals */

static int refused(struct toc_maker *m, const struct toc_layer *l)
{
	struct err e = {0};
	int fd, r = write_index(l, m, &fd, NULL, &e);

	close(fd);
	assert_int_equal(r, -e.code);
	return r;
}

static void a_table_of_another_digest_is_refused(void **state)
{
	static const enum layer_toc kinds[] = {LAYER_TOC_ESTARGZ, LAYER_TOC_ZSTD_CHUNKED};

	(void)state;
	for (size_t i = 0; i < array_len(kinds); i++) {
		struct toc_maker m cleanup(toc_make_release);
		struct toc_layer l;

		make(&m, kinds[i]);
		l = toc_made(&m);
		assert_int_equal(refused(&m, &l), 0);
		l.of_stored = !l.of_stored;
		assert_int_equal(refused(&m, &l), -EBADMSG);
		l = toc_made(&m);
		l.place.stored_len -= 9;
		assert_int_equal(refused(&m, &l), -EBADMSG);
		l = toc_made(&m);
		l.toc_digest = m.diff_id;
		assert_int_equal(refused(&m, &l), -EBADMSG);
	}
}

static void an_estargz_table_that_is_another_file_is_refused(void **state)
{
	struct toc_maker m cleanup(toc_make_release);
	struct toc_layer l;

	(void)state;
	toc_make_begin(&m, LAYER_TOC_ESTARGZ);
	toc_put_file(&m, "index.json", "{\"entries\":[]}", 14, 100);
	toc_make_end(&m);
	l = toc_made(&m);
	l.place.stored_len += l.place.offset;
	l.place.offset = 0;
	assert_int_equal(refused(&m, &l), -EBADMSG);
}

#define D "\"digest\":\"sha256:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\""

/* A table of these entries. */
static int refused_entries(const char *entries, struct layer_info *info)
{
	struct toc_maker m cleanup(toc_make_release);
	struct toc_layer l;
	struct err e = {0};
	int fd, r;

	toc_make_begin(&m, LAYER_TOC_ZSTD_CHUNKED);
	buf_puts(&m.json, entries);
	/* Something for chunks to point to. */
	tar_put(&m.tar, "x", '0', 0, NULL);
	toc_make_end(&m);
	l = toc_made(&m);
	r = write_index(&l, &m, &fd, info, &e);
	if (r == 0) {
		struct layer_index *ix;

		assert_int_equal(index_open(fd, &ix, &e), 0);
		index_free(ix);
	}
	close(fd);
	return r;
}

static void tables_that_make_no_layer_are_refused(void **state)
{
	static const struct {
		const char *entries;
		int code;
	} t[] = {
		{"", 0},
		{"{\"name\":\"a\",\"type\":\"reg\",\"size\":5," D "}", 0},
		{"{\"name\":\"a\",\"type\":\"reg\",\"size\":5}", ENOTSUP},
		{"{\"name\":\"a\",\"type\":\"reg\",\"size\":67108865," D "}", ENOTSUP},
		{"{\"name\":\"a\",\"type\":\"reg\",\"size\":5,\"offset\":1000000," D "}", EBADMSG},
		{"{\"name\":\"a\",\"type\":\"reg\",\"size\":5,\"chunkOffset\":1," D "}", EBADMSG},
		{"{\"name\":\"a\",\"type\":\"reg\",\"size\":5,\"chunkSize\":6,\"chunkType\":\"zeros\"}",
		 EBADMSG},
		{"{\"name\":\"a\",\"type\":\"reg\",\"size\":5,\"chunkSize\":4,\"chunkType\":\"zeros\"}",
		 EBADMSG},
		{"{\"name\":\"a\",\"type\":\"chunk\"}", EBADMSG},
		{"{\"name\":\"a\",\"type\":\"reg\",\"size\":5,\"offset\":9," D
		 "},{\"name\":\"b\",\"type\":\"reg\",\"size\":5,\"offset\":8," D "}",
		 ENOTSUP},
		{"{\"name\":\"a\",\"type\":\"reg\",\"size\":5,\"offset\":9," D
		 "},{\"name\":\"b\",\"type\":\"reg\",\"size\":5,\"offset\":9,\"innerOffset\":4," D
		 "}",
		 ENOTSUP},
		{"{\"name\":\"a\",\"type\":\"reg\",\"size\":9000000000000000000,"
		 "\"chunkType\":\"zeros\"}",
		 ENOTSUP},
		{"{\"name\":\"a\",\"type\":\"hardlink\",\"linkName\":\"b\"}", ENOTSUP},
	};
	struct layer_info info;

	(void)state;
	for (size_t i = 0; i < array_len(t); i++) {
		int r = refused_entries(t[i].entries, &info);

		if (r != -t[i].code)
			fail_msg("%s: %d", t[i].entries, r);
	}
}

static void a_run_of_zeros_takes_nothing_of_the_blob(void **state)
{
	struct toc_maker m cleanup(toc_make_release);
	struct reading r = {.m = &m};
	struct layer_index *ix;
	struct layer_info info;
	struct err e = {0};

	(void)state;
	toc_make_begin(&m, LAYER_TOC_ZSTD_CHUNKED);
	toc_put_file(&m, "a", "hello", 5, 100);
	toc_entry_begin(&m, "z", "reg");
	buf_printf(&m.json, ",\"size\":%d,\"chunkType\":\"zeros\"}", BIG);
	toc_put_file(&m, "b", "world", 5, 100);
	toc_make_end(&m);
	ix = open_index(&m, &info);
	r.layer = mem_alloc(info.len);
	memset(r.layer, 1, info.len);
	assert_int_equal(read_range(ix, &r, 0, info.len, &e), 0);
	assert_int_equal(r.next, info.len);
	assert_memory_equal(r.layer, "hello\0", 6);
	assert_memory_equal(r.layer + 512 + (BIG + 511) / 512 * 512, "world\0", 6);
	for (size_t i = 512; i < 512 + BIG; i++)
		assert_int_equal(r.layer[i], 0);
	r.bytes = 0;
	assert_int_equal(read_range(ix, &r, 512 + 2 * LAYER_BLOCK_LEN, 1, &e), 0);
	assert_int_equal(r.bytes, 0);
	free(r.layer);
	index_free(ix);
}

static void an_index_that_is_damaged_is_refused(void **state)
{
	struct toc_maker m cleanup(toc_make_release);
	struct layer_index *ix;
	struct toc_layer l;
	struct err e = {0};
	off_t len;
	char byte;
	int fd;

	(void)state;
	make(&m, LAYER_TOC_ESTARGZ);
	l = toc_made(&m);
	assert_int_equal(write_index(&l, &m, &fd, NULL, &e), 0);
	len = lseek(fd, 0, SEEK_END);
	for (off_t at = 0; at < len; at += at < 400 ? 1 : 97) {
		int image = memfd_create("erofs", 0), r;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 4;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		r = index_open(fd, &ix, &e);
		if (r == 0) {
			r = index_erofs_write(ix, image, &e);
			index_free(ix);
		}
		assert_int_equal(r, -EBADMSG);
		byte ^= 4;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(image);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_estargz_layer_is_the_same_by_its_table),
		cmocka_unit_test(a_zstd_chunked_layer_is_the_same_by_its_table),
		cmocka_unit_test(one_block_takes_its_own_bytes_only),
		cmocka_unit_test(one_changed_byte_is_never_served),
		cmocka_unit_test(the_whole_is_compared_with_the_diff_id),
		cmocka_unit_test(a_table_of_another_digest_is_refused),
		cmocka_unit_test(an_estargz_table_that_is_another_file_is_refused),
		cmocka_unit_test(tables_that_make_no_layer_are_refused),
		cmocka_unit_test(a_run_of_zeros_takes_nothing_of_the_blob),
		cmocka_unit_test(an_index_that_is_damaged_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
