/* Arbitrary bytes as a blob: inflate, tar, tree, EROFS image, and whatever index comes out is read.
 */
#include "base/cleanup.h"
#include "fs/layer/unpack.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct blob {
	const uint8_t *data;
	size_t len;
};

static ssize_t read_blob(void *arg, uint64_t offset, void *buf, size_t len)
{
	const struct blob *b = arg;

	assert(offset + len <= b->len);
	memcpy(buf, b->data + offset, len);
	return (ssize_t)len;
}

static int got_block(void *arg, uint64_t offset, const void *data, size_t len, struct err *e)
{
	(void)arg;
	(void)data;
	(void)e;
	assert(offset % LAYER_BLOCK_LEN == 0 && len <= LAYER_BLOCK_LEN);
	return 0;
}

static void reads_again(int fd, const struct layer_info *info, struct blob *blob)
{
	cleanup(close_at) int image = memfd_create("erofs", 0);
	struct unpack_io io = {read_blob, got_block, blob};
	struct layer_index *ix;
	struct err e;

	assert(index_open(fd, &ix, &e) == 0);
	assert(index_erofs_write(ix, image, &e) == 0);
	if (info->len)
		assert(unpack_range(ix, 0, info->len, &io, &e) == 0);
	index_free(ix);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(close_at) int fd = memfd_create("index", 0);
	struct index_options options = {.dir = "/tmp", .span_len = 1024, .user_xattrs = true};
	struct blob blob = {data, size};
	struct layer_info info;
	struct index_build *b;
	struct err e;

	assert(index_build_new(&options, &b, &e) == 0);
	if (index_build_feed(b, data, size, &e) == 0 && index_build_end(b, fd, &info, &e) == 0)
		reads_again(fd, &info, &blob);
	else
		assert(e.code > 0 && e.text[0]);
	index_build_free(b);
	return 0;
}
