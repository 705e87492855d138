#include "daemon/pack_file.h"

#include "base/mem.h"
#include "fs/layer/index_format.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <zstd.h>

#define LEVEL 3

struct pack_writer {
	int fd;
	uint64_t len;
	struct sha256 *sum;
};

struct pack_writer *pack_writer_new(int fd)
{
	struct pack_writer *w = mem_new(struct pack_writer);

	w->fd = fd;
	w->sum = sha256_new();
	return w;
}

void pack_writer_free(struct pack_writer *w)
{
	if (w)
		sha256_free(w->sum);
	free(w);
}

uint64_t pack_writer_length(const struct pack_writer *w)
{
	return w->len;
}

void pack_writer_digest(struct pack_writer *w, char hex_out[DIGEST_HEX_LEN + 1])
{
	sha256_final(w->sum, hex_out);
}

static void put_head(unsigned char *at, const struct pack_frame *f, size_t len)
{
	const uint32_t words[] = {htole32(f->layer), htole32(f->block), htole32((uint32_t)len)};

	memcpy(at, words, sizeof(words));
}

int pack_writer_add(struct pack_writer *w, const struct pack_frame *f, const void *data, size_t len,
		    struct err *e)
{
	size_t most = pack_frame_max(len), n;
	unsigned char *room cleanup(free_at) = mem_alloc(PACK_HEAD_LEN + most);
	int r;

	n = ZSTD_compress(room + PACK_HEAD_LEN, most, data, len, LEVEL);
	if (ZSTD_isError(n))
		return err_set(e, EIO, "compress a block: %s", ZSTD_getErrorName(n));
	put_head(room, f, n);
	r = index_pwrite(w->fd, w->len, room, PACK_HEAD_LEN + n, e);
	if (r < 0)
		return err_set(e, -r, "write the pack of a start");
	sha256_update(w->sum, room, PACK_HEAD_LEN + n);
	w->len += PACK_HEAD_LEN + n;
	return 0;
}

void pack_head_read(const unsigned char in[PACK_HEAD_LEN], struct pack_frame *out)
{
	uint32_t words[3];

	memcpy(words, in, sizeof(words));
	*out = (struct pack_frame){
		.layer = le32toh(words[0]), .block = le32toh(words[1]), .len = le32toh(words[2])};
}

size_t pack_frame_max(size_t len)
{
	return ZSTD_compressBound(len);
}

int pack_frame_unpack(const void *data, size_t len, void *out, size_t out_len, struct err *e)
{
	size_t n = ZSTD_decompress(out, out_len, data, len);

	if (ZSTD_isError(n))
		return err_set(e, EBADMSG, "a block cannot be unpacked: %s", ZSTD_getErrorName(n));
	if (n != out_len)
		return err_set(e, EBADMSG, "a block has %zu bytes instead of %zu", n, out_len);
	return 0;
}
