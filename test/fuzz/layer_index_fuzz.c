/* Arbitrary bytes as an index, as they are and with the checksums of head and sections set right.
 */
#include "base/mem.h"
#include "fs/layer/index_format.h"
#include "fs/layer/unpack.h"

#include <endian.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t read_nothing(void *arg, uint64_t offset, void *buf, size_t len)
{
	(void)arg;
	(void)offset;
	memset(buf, 0x55, len);
	return (ssize_t)(len < 100 ? len : 100);
}

static int got_block(void *arg, uint64_t offset, const void *data, size_t len, struct err *e)
{
	(void)arg;
	(void)offset;
	(void)data;
	(void)len;
	(void)e;
	return -1; /* one is enough */
}

static void use(const struct layer_index *ix)
{
	cleanup(close_at) int image = memfd_create("erofs", 0);
	struct unpack_io io = {read_nothing, got_block, NULL};
	unsigned char window[INDEX_WINDOW_LEN];
	struct index_checkpoint cp;
	struct unpack_plan plan;
	struct err e;
	size_t len;

	if (index_info(ix)->erofs_len < 1 << 20 && index_erofs_write(ix, image, &e) < 0)
		return;
	if (!index_chunks(ix)) {
		index_checkpoint_before(ix, index_info(ix)->len / 2, &cp);
		if (index_window_read(ix, &cp, window, &len, &e) < 0)
			return;
	}
	if (unpack_plan(ix, index_info(ix)->len / 2, 1, &plan, &e) == 0 && plan.in_len < 1 << 20 &&
	    unpack_range(ix, index_info(ix)->len / 2, 1, &io, &e) < 0)
		return;
}

static void try(const uint8_t *data, size_t size)
{
	cleanup(close_at) int fd = memfd_create("index", 0);
	struct layer_index *ix;
	struct err e;

	if (index_pwrite(fd, 0, data, size, &e) < 0 || index_open(fd, &ix, &e) < 0)
		return;
	use(ix);
	index_free(ix);
}

/* So that what the checksums guard is reached. */
static void set_right(uint8_t *data, size_t size)
{
	struct index_head *h = (struct index_head *)data;

	memcpy(h->magic, INDEX_MAGIC, sizeof(h->magic));
	if (le32toh(h->version) != INDEX_VERSION_TOC)
		h->version = htole32(INDEX_VERSION);
	h->head_len = htole32(INDEX_HEAD_LEN);
	for (int i = 0; i < INDEX_SECTION_COUNT; i++) {
		uint64_t at = le64toh(h->sections[i].offset);
		uint64_t len = le64toh(h->sections[i].stored_len);

		if (at <= size && len <= size - at)
			h->sections[i].xxh3 = htole64(xxh3_of(data + at, len));
	}
	h->xxh3 = htole64(xxh3_of(h, offsetof(struct index_head, xxh3)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(free_at) uint8_t *copy = mem_dup(data, size);

	try(data, size);
	if (size >= INDEX_HEAD_LEN) {
		set_right(copy, size);
		try(copy, size);
	}
	return 0;
}
