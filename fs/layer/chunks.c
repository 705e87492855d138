/* Chunks: where each is in the blob, which make a block, what their bytes must be. Must not know
 * tables of contents. */
#include "fs/layer/chunks.h"

#include "base/mem.h"
#include "fs/layer/feed.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct chunks {
	struct layer_info info;
	struct index_chunk *all; /* in the host's byte order */
	uint32_t count;
	uint32_t *blocks; /* the first chunk of each, and count at the end */
	uint32_t block_count;
};

/* ---- the table */

static bool is_zeros(const struct index_chunk *c)
{
	return c->flags & INDEX_CHUNK_ZEROS;
}

static uint64_t end_of(const struct index_chunk *c)
{
	return c->out_offset + c->len;
}

/* Brings a chunk into the host's byte order and checks it against the one before. */
static bool take(const struct chunks *c, struct index_chunk *k, const struct index_chunk *before)
{
	uint64_t from = before ? end_of(before) : 0;

	k->in_offset = le64toh(k->in_offset);
	k->inner = le64toh(k->inner);
	k->out_offset = le64toh(k->out_offset);
	k->len = le32toh(k->len);
	k->flags = le32toh(k->flags);
	if (k->len == 0 || k->len > INDEX_CHUNK_LEN_MAX || k->in_offset >= c->info.compressed_len ||
	    k->inner > INDEX_LAYER_LEN_MAX)
		return false;
	/* Only what fills up a sector stands between them. */
	if (k->out_offset < from || k->out_offset - from >= INDEX_SECTOR ||
	    (k->out_offset != from && k->out_offset % INDEX_SECTOR) ||
	    k->out_offset > c->info.len || k->len > c->info.len - k->out_offset)
		return false;
	if (!before)
		return k->out_offset == 0 && (k->flags & INDEX_CHUNK_BLOCK);
	return k->in_offset > before->in_offset ||
	       (k->in_offset == before->in_offset && k->inner >= index_chunk_inner_end(before));
}

static bool take_all(struct chunks *c)
{
	uint64_t end = 0;

	c->blocks = mem_array((size_t)c->count + 1, sizeof(*c->blocks));
	for (uint32_t i = 0; i < c->count; i++) {
		if (!take(c, &c->all[i], i ? &c->all[i - 1] : NULL))
			return false;
		if (c->all[i].flags & INDEX_CHUNK_BLOCK)
			c->blocks[c->block_count++] = i;
		end = end_of(&c->all[i]);
		/* What is held in memory at once. */
		if (end - c->all[c->blocks[c->block_count - 1]].out_offset > INDEX_CHUNK_LEN_MAX)
			return false;
	}
	c->blocks[c->block_count] = c->count;
	return c->info.len == (end + INDEX_SECTOR - 1) / INDEX_SECTOR * INDEX_SECTOR;
}

int chunks_new(struct index_chunk *records, uint32_t count, const struct layer_info *info,
	       struct chunks **out, struct err *e)
{
	struct chunks *c = mem_new(struct chunks);

	c->info = *info;
	c->all = records;
	c->count = count;
	if (!take_all(c)) {
		chunks_free(c);
		return err_set(e, EBADMSG, "the index is damaged or not an index: its chunks");
	}
	*out = c;
	return 0;
}

void chunks_free(struct chunks *c)
{
	if (!c)
		return;
	free(c->all);
	free(c->blocks);
	free(c);
}

/* ---- blocks */

uint64_t chunks_block_count(const struct chunks *c)
{
	return c->block_count;
}

uint64_t chunks_block_at(const struct chunks *c, uint64_t offset)
{
	uint32_t low = 0, high = c->block_count;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (c->all[c->blocks[middle]].out_offset <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

void chunks_block_extent(const struct chunks *c, uint64_t no, uint64_t *offset_out,
			 uint64_t *len_out)
{
	uint64_t end = no + 1 < c->block_count ? c->all[c->blocks[no + 1]].out_offset : c->info.len;

	*offset_out = c->all[c->blocks[no]].out_offset;
	*len_out = end - *offset_out;
}

static bool is_all_zero(const unsigned char *data, uint64_t len)
{
	return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

static bool is_chunk(const struct index_chunk *k, const unsigned char *data)
{
	char hex[DIGEST_HEX_LEN + 1];
	uint8_t is[32];

	if (is_zeros(k))
		return is_all_zero(data, k->len);
	sha256_hex(data, k->len, hex);
	index_hex_pack(hex, is);
	return memcmp(is, k->sha256, sizeof(is)) == 0;
}

bool chunks_block_is(const struct chunks *c, uint64_t no, const void *data, uint64_t len)
{
	const unsigned char *at = data;
	uint64_t offset, want, done = 0;

	chunks_block_extent(c, no, &offset, &want);
	if (len != want)
		return false;
	for (uint32_t i = c->blocks[no]; i < c->blocks[no + 1]; i++) {
		uint64_t from = c->all[i].out_offset - offset;

		if (!is_all_zero(at + done, from - done) || !is_chunk(&c->all[i], at + from))
			return false;
		done = from + c->all[i].len;
	}
	return is_all_zero(at + done, len - done);
}

/* ---- their bytes */

/* Where the member or frame that begins at chunk i's is over, at the latest. */
static uint64_t source_end(const struct chunks *c, uint32_t i)
{
	uint64_t begin = c->all[i].in_offset;

	while (i < c->count && c->all[i].in_offset == begin)
		i++;
	return i < c->count ? c->all[i].in_offset : c->info.compressed_len;
}

void chunks_block_source(const struct chunks *c, uint64_t no, uint64_t *offset_out,
			 uint64_t *end_out)
{
	*offset_out = c->all[c->blocks[no]].in_offset;
	*end_out = source_end(c, c->blocks[no + 1] - 1);
}

/* A run of chunks of one member. */
struct unpacking {
	const struct index_chunk *next, *end;
	unsigned char *block;
	uint64_t offset; /* of the block in the layer */
	uint64_t pos;	 /* of the next inflated byte in the member */
	bool done;
};

static void pass_zeros(struct unpacking *u)
{
	while (u->next < u->end && is_zeros(u->next))
		u->next++;
	u->done = u->next == u->end;
}

static int took_bytes(void *arg, const void *data, size_t len, struct err *e)
{
	struct unpacking *u = arg;
	const unsigned char *at = data;

	(void)e;
	while (len && !u->done) {
		const struct index_chunk *k = u->next;
		bool before = u->pos < k->inner;
		uint64_t left = (before ? k->inner : k->inner + k->len) - u->pos;
		size_t n = len < left ? len : (size_t)left;

		if (!before)
			memcpy(u->block + (k->out_offset - u->offset) + (u->pos - k->inner), at, n);
		at += n;
		len -= n;
		u->pos += n;
		if (!before && n == left) {
			u->next++;
			pass_zeros(u);
		}
	}
	return 0;
}

static int inflate_run(const struct chunks *c, struct unpacking *u, uint64_t end,
		       const struct unpack_io *io, struct err *e)
{
	const struct inflate_sink sink = {.bytes = took_bytes, .arg = u};
	const struct inflate_place place = {.in_offset = u->next->in_offset, .fresh = true};
	cleanup(inflate_free_at) struct inflate *f = NULL;
	int r = inflate_new_at(&sink, c->info.compression, &place, &f, e);

	if (r == 0)
		r = feed_inflate(f, io, place.in_offset, end, &u->done, e);
	if (r == 0 && !u->done)
		r = err_set(e, EBADMSG, "layer sha256:%s: a chunk ends too early", c->info.digest);
	return r;
}

int chunks_block_unpack(const struct chunks *c, uint64_t no, const struct unpack_io *io,
			unsigned char *block, struct err *e)
{
	uint32_t i = c->blocks[no], end = c->blocks[no + 1], run;
	uint64_t offset, len;

	chunks_block_extent(c, no, &offset, &len);
	for (; i < end; i = run) {
		struct unpacking u = {.block = block, .offset = offset};
		int r;

		for (run = i; run < end && c->all[run].in_offset == c->all[i].in_offset; run++)
			;
		u.next = &c->all[i];
		u.end = &c->all[run];
		pass_zeros(&u);
		r = u.done ? 0 : inflate_run(c, &u, source_end(c, i), io, e);
		if (r < 0)
			return r;
	}
	if (chunks_block_is(c, no, block, len))
		return 0;
	return err_set(e, EBADMSG, "block %" PRIu64 " of layer sha256:%s is not what it must be",
		       no, c->info.digest);
}
