/* A layer for tests: a tar of one file, its gzip blob and its index, and the blob's task as a
 * buffer. */
#ifndef TEST_LAYER_FIXTURE_H
#define TEST_LAYER_FIXTURE_H

#include "base/dir.h"
#include "base/mem.h"
#include "daemon/layer.h"
#include "daemon/task_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <isa-l/igzip_lib.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define FILE_LEN  (6u << 20)
#define TAR_LEN	  (512 + FILE_LEN + 1024)
#define BLOCK_LEN (8u << 10)

static char dir[64];

struct task {
	struct store_meta meta;
	const int *content; /* a descriptor; NULL: the layer's blob */
};

static struct {
	struct task task;
	unsigned char *tar, *blob;
	size_t blob_len;
	char digest[DIGEST_HEX_LEN + 1];
	uint64_t bytes_read; /* atomic */
	int fails;	     /* errno of every read, 0 = none */
	int refs;	     /* atomic */
	bool held;	     /* atomic; reads wait until it is not */
} fake;

void task_ref(struct task *t)
{
	(void)t;
	__atomic_fetch_add(&fake.refs, 1, __ATOMIC_RELAXED);
}

void task_unref(struct task *t)
{
	(void)t;
	__atomic_fetch_sub(&fake.refs, 1, __ATOMIC_ACQ_REL);
}

const struct store_meta *task_meta(const struct task *t)
{
	return &t->meta;
}

int task_read_wait(struct task *t, uint64_t off, void *data, size_t len, const bool *stop,
		   struct err *e)
{
	(void)stop;
	if (t->content) {
		assert_int_equal(pread(*t->content, data, len, (off_t)off), len);
		return 0;
	}
	while (__atomic_load_n(&fake.held, __ATOMIC_ACQUIRE))
		usleep(500);
	if (fake.fails)
		return err_set(e, fake.fails, "fake");
	assert_true(off + len <= fake.blob_len);
	memcpy(data, fake.blob + off, len);
	__atomic_fetch_add(&fake.bytes_read, len, __ATOMIC_RELAXED);
	return 0;
}

int task_follow_wait(struct task *t, uint64_t off, void *data, size_t len, const bool *stop,
		     struct err *e)
{
	return task_read_wait(t, off, data, len, stop, e);
}

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
	/* Left alone it writes one block, and checkpoints stand between blocks. Short ones: to find
	 * where a block ends is what an index costs, seconds of it under a sanitizer. */
	z.flush = SYNC_FLUSH;
	for (uint32_t left = TAR_LEN; left > 0;) {
		z.avail_in = left < BLOCK_LEN ? left : BLOCK_LEN;
		left -= z.avail_in;
		z.end_of_stream = left == 0;
		assert_int_equal(isal_deflate(&z), COMP_OK);
		assert_int_equal(z.avail_in, 0);
	}
	fake.blob_len = z.total_out;
	sha256_hex(fake.blob, fake.blob_len, fake.digest);
	fake.task.meta.geometry.content_length = fake.blob_len;
}

static inline char *path_of(const char *ending)
{
	return mem_printf("%s/%s.%s", dir, fake.digest, ending);
}

static inline void make_index_at(const char *path)
{
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

static void make_layer(void)
{
	strcpy(dir, "/tmp/skm-layer-XXXXXX");
	assert_non_null(mkdtemp(dir));
	fake.bytes_read = 0;
	fake.fails = 0;
	fake.held = false;
	fake.refs = 0;
	make_tar();
	make_blob();
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static int remove_layer(void)
{
	free(fake.tar);
	free(fake.blob);
	assert_int_equal(fake.refs, 0);
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
