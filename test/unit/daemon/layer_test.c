/* A lazy layer: bytes inflated once, wrong ones never given out, what an earlier process left. */
#include "daemon/layer.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/mem.h"
#include "daemon/task_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <isa-l/igzip_lib.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_LEN (6u << 20)
#define STEP	 (FILE_LEN / 24)
#define TAR_LEN	 (512 + FILE_LEN + 1024)

static char dir[64];
static bool stopping;
static struct layer_place place = {.dir = dir, .stopping = &stopping};

/* ---- the layer's task, as a buffer */

struct task {
	struct store_meta meta;
};

static struct {
	struct task task;
	unsigned char *tar, *blob;
	size_t blob_len;
	char digest[DIGEST_HEX_LEN + 1];
	uint64_t bytes_read; /* atomic */
	int fails;	     /* errno of every read, 0 = none */
	int refs;	     /* atomic */
} fake;

int task_open_wait(struct tasks *ts, const struct task_request *rq, struct task **out,
		   struct err *e)
{
	(void)ts;
	(void)e;
	assert_non_null(rq->digest);
	task_ref(&fake.task);
	*out = &fake.task;
	return 0;
}

void task_ref(struct task *t)
{
	(void)t;
	__atomic_fetch_add(&fake.refs, 1, __ATOMIC_RELAXED);
}

void task_unref(struct task *t)
{
	(void)t;
	__atomic_fetch_sub(&fake.refs, 1, __ATOMIC_RELAXED);
}

const struct store_meta *task_meta(const struct task *t)
{
	return &t->meta;
}

int task_wait_complete(struct task *t, enum task_priority p, const struct task_wait *w, int *fd_out,
		       struct err *e)
{
	(void)t;
	(void)w;
	assert_int_equal(p, TASK_REST);
	*fd_out = -1;
	return fake.fails ? err_set(e, fake.fails, "fake") : 0;
}

int task_read_wait(struct task *t, uint64_t off, void *data, size_t len, const bool *stop,
		   struct err *e)
{
	(void)t;
	(void)stop;
	if (fake.fails)
		return err_set(e, fake.fails, "fake");
	assert_true(off + len <= fake.blob_len);
	memcpy(data, fake.blob + off, len);
	__atomic_fetch_add(&fake.bytes_read, len, __ATOMIC_RELAXED);
	return 0;
}

/* ---- the layer */

/* One file of noise that shrinks a little. */
static void make_tar(void)
{
	unsigned sum = 0;
	uint32_t x = 1;

	fake.tar = mem_alloc(TAR_LEN);
	strcpy((char *)fake.tar, "file");
	strcpy((char *)fake.tar + 100, "0000644");
	strcpy((char *)fake.tar + 108, "0000000");
	strcpy((char *)fake.tar + 116, "0000000");
	snprintf((char *)fake.tar + 124, 12, "%011o", FILE_LEN);
	strcpy((char *)fake.tar + 136, "00000000000");
	fake.tar[156] = '0';
	memcpy(fake.tar + 257,
	       "ustar\0"
	       "00",
	       8);
	memset(fake.tar + 148, ' ', 8);
	for (int i = 0; i < 512; i++)
		sum += fake.tar[i];
	snprintf((char *)fake.tar + 148, 8, "%06o", sum);
	for (size_t i = 0; i < FILE_LEN; i++) {
		x = x * 1664525 + 1013904223;
		fake.tar[512 + i] = (unsigned char)(x >> 25);
	}
}

static void make_blob(void)
{
	struct isal_zstream z;

	isal_deflate_init(&z);
	fake.blob_len = TAR_LEN * 2;
	fake.blob = mem_alloc(fake.blob_len);
	z.gzip_flag = IGZIP_GZIP;
	z.next_in = fake.tar;
	z.next_out = fake.blob;
	z.avail_out = (uint32_t)fake.blob_len;
	/* Left alone it writes one block, and checkpoints stand between blocks. */
	z.flush = SYNC_FLUSH;
	for (uint32_t left = TAR_LEN; left > 0;) {
		z.avail_in = left < 128 << 10 ? left : 128 << 10;
		left -= z.avail_in;
		z.end_of_stream = left == 0;
		assert_int_equal(isal_deflate(&z), COMP_OK);
		assert_int_equal(z.avail_in, 0);
	}
	fake.blob_len = z.total_out;
	sha256_hex(fake.blob, fake.blob_len, fake.digest);
	fake.task.meta.geometry.content_length = fake.blob_len;
}

static char *path_of(const char *ending)
{
	return mem_printf("%s/%s.%s", dir, fake.digest, ending);
}

static void make_index(void)
{
	char *path cleanup(free_at) = path_of("idx");
	int fd cleanup(close_at) = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	const struct index_options o = {.dir = dir, .span_len = 1 << 20};
	struct index_build *b;
	struct err e = {0};

	if (index_build_new(&o, &b, &e) < 0 ||
	    index_build_feed(b, fake.blob, fake.blob_len, &e) < 0 ||
	    index_build_end(b, fd, NULL, &e) < 0)
		fail_msg("%s", e.text);
	index_build_free(b);
}

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/skm-layer-XXXXXX");
	assert_non_null(mkdtemp(dir));
	fake.bytes_read = 0;
	fake.fails = 0;
	fake.refs = 0;
	make_tar();
	make_blob();
	make_index();
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static int tear_down(void **state)
{
	(void)state;
	free(fake.tar);
	free(fake.blob);
	assert_int_equal(fake.refs, 0);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct layer *open_layer(void)
{
	struct layer *l = NULL;
	struct err e = {0};

	if (layer_open(&place, fake.digest, &l, &e) < 0)
		fail_msg("%s", e.text);
	return l;
}

/* On any thread. */
static bool reads_right(struct layer *l, uint64_t off, uint32_t len)
{
	unsigned char *got cleanup(free_at) = mem_alloc(len);
	struct err e = {0};

	return layer_fill(l, off, len, true, &e) == 0 && layer_has(l, off, len) &&
	       pread(layer_fd(l), got, len, (off_t)off) == (ssize_t)len &&
	       memcmp(got, fake.tar + off, len) == 0;
}

static void expect_bytes(struct layer *l, uint64_t off, uint32_t len)
{
	assert_true(reads_right(l, off, len));
}

static bool is_there(const char *ending)
{
	char *path cleanup(free_at) = path_of(ending);

	return access(path, F_OK) == 0;
}

static void a_read_takes_a_part_of_the_blob_and_is_right(void **state)
{
	struct layer *l = open_layer();
	uint64_t before;

	(void)state;
	assert_int_equal(layer_info(l)->len, TAR_LEN);
	assert_false(layer_has(l, 5 << 20, 4096));
	expect_bytes(l, 5 << 20, 4096);
	assert_true(fake.bytes_read < fake.blob_len * 3 / 4);
	before = fake.bytes_read;
	expect_bytes(l, 5 << 20, 8192);
	assert_int_equal(fake.bytes_read, before); /* nothing is inflated twice */
	expect_bytes(l, 0, 700000);
	expect_bytes(l, TAR_LEN - 100, 100);
	layer_unref(l);
}

static void *read_all(void *arg)
{
	bool right = true;

	for (uint64_t off = 0; off < FILE_LEN; off += STEP)
		right = right && reads_right(arg, off, STEP);
	return right ? arg : NULL;
}

static void many_readers_inflate_once(void **state)
{
	struct layer *l = open_layer();
	pthread_t threads[6];

	(void)state;
	for (size_t i = 0; i < array_len(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, l), 0);
	for (size_t i = 0; i < array_len(threads); i++) {
		void *right = NULL;

		assert_int_equal(pthread_join(threads[i], &right), 0);
		assert_ptr_equal(right, l);
	}
	/* A block that two spans share costs its first span's end once more. */
	assert_true(fake.bytes_read < fake.blob_len * 5 / 2);
	layer_unref(l);
}

static void what_an_earlier_process_left_is_compared_first(void **state)
{
	char *path cleanup(free_at) = path_of("data");
	struct layer *l = open_layer();
	int fd;

	(void)state;
	expect_bytes(l, 0, TAR_LEN);
	layer_unref(l);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "torn", 4, (2 << 20) + 5), 4);
	close(fd);
	l = open_layer();
	fake.bytes_read = 0;
	expect_bytes(l, 0, 1 << 20);
	assert_int_equal(fake.bytes_read, 0);
	expect_bytes(l, 2 << 20, 4096);
	assert_true(fake.bytes_read > 0);
	layer_unref(l);
}

static void wrong_bytes_are_never_given_out(void **state)
{
	struct layer *l = open_layer(), *again;
	struct err e = {0};

	(void)state;
	for (size_t at = fake.blob_len / 3; at < fake.blob_len / 3 + 64; at++)
		fake.blob[at] ^= 0x55;
	assert_int_equal(layer_fill(l, 2 << 20, 1 << 20, true, &e), -EIO);
	assert_false(layer_has(l, 2 << 20, 4096));
	/* Refused from now on, also where it would be right and in the next process. */
	assert_int_equal(layer_fill(l, 0, 4096, true, &e), -EIO);
	assert_int_equal(layer_complete(l, &e), -EIO);
	assert_true(layer_is_broken(l));
	layer_unref(l);
	assert_int_equal(layer_open(&place, fake.digest, &again, &e), -ENOENT);
}

static void a_network_that_fails_is_tried_again(void **state)
{
	struct layer *l = open_layer();
	struct err e = {0};

	(void)state;
	fake.fails = EHOSTUNREACH;
	assert_int_equal(layer_fill(l, 0, 4096, true, &e), -EHOSTUNREACH);
	assert_int_equal(layer_complete(l, &e), -EHOSTUNREACH);
	assert_false(layer_is_complete(l));
	fake.fails = 0;
	expect_bytes(l, 0, 4096);
	layer_unref(l);
}

static void a_complete_layer_needs_nobody(void **state)
{
	struct layer *l = open_layer();
	struct err e = {0};

	(void)state;
	assert_int_equal(layer_complete(l, &e), 0);
	assert_true(layer_is_complete(l));
	assert_true(is_there("done"));
	layer_unref(l);
	fake.fails = EHOSTUNREACH;
	l = open_layer();
	assert_true(layer_is_complete(l));
	expect_bytes(l, 0, TAR_LEN);
	layer_unref(l);
}

static void an_index_of_another_layer_is_refused(void **state)
{
	char *from cleanup(free_at) = path_of("idx");
	char *to cleanup(free_at) = NULL;
	struct layer *l;
	struct err e = {0};

	(void)state;
	fake.digest[0] = fake.digest[0] == 'a' ? 'b' : 'a';
	to = path_of("idx");
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(layer_open(&place, fake.digest, &l, &e), -EBADMSG);
}

#define layer_test(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		layer_test(a_read_takes_a_part_of_the_blob_and_is_right),
		layer_test(many_readers_inflate_once),
		layer_test(what_an_earlier_process_left_is_compared_first),
		layer_test(wrong_bytes_are_never_given_out),
		layer_test(a_network_that_fails_is_tried_again),
		layer_test(a_complete_layer_needs_nobody),
		layer_test(an_index_of_another_layer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
