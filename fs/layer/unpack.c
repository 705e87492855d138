/* Inflates from a checkpoint, gathers blocks, verifies them, hands them over. Must not know where
 * compressed bytes come from nor where blocks go. */
#include "fs/layer/unpack.h"

#include "base/mem.h"
#include "fs/layer/chunks.h"
#include "fs/layer/feed.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct unpacking {
	const struct layer_index *ix;
	const struct unpack_io *io;
	uint64_t pos;	    /* of the next inflated byte */
	uint64_t from, end; /* blocks are handed over from here, to here */
	unsigned char *block;
	size_t have;
	bool done;
};

static uint64_t block_end(const struct layer_index *ix, uint64_t offset)
{
	uint64_t end = (offset / LAYER_BLOCK_LEN + 1) * LAYER_BLOCK_LEN;

	return end < index_info(ix)->len ? end : index_info(ix)->len;
}

static void choose(const struct layer_index *ix, uint64_t offset, struct index_checkpoint *cp)
{
	index_checkpoint_before(ix, offset - offset % LAYER_BLOCK_LEN, cp);
}

/* Of a layer by table: the blocks that are wanted, and no more. */
static void plan_chunks(const struct chunks *c, uint64_t offset, uint64_t len,
			struct unpack_plan *out)
{
	uint64_t first = chunks_block_at(c, offset), last = chunks_block_at(c, offset + len - 1);
	uint64_t in_end, unused;

	chunks_block_source(c, last, &unused, &in_end);
	chunks_block_source(c, first, &out->in_offset, &unused);
	out->in_len = in_end - out->in_offset;
	chunks_block_extent(c, last, &offset, &len);
	chunks_block_extent(c, first, &out->out_offset, &unused);
	out->out_len = offset + len - out->out_offset;
}

uint64_t unpack_span_end(const struct layer_index *ix, uint64_t offset)
{
	struct index_checkpoint next;
	uint64_t len;

	index_block_extent(ix, index_block_at(ix, offset), &offset, &len);
	if (index_chunks(ix))
		return offset + len;
	return index_checkpoint_after(ix, offset + len, &next) ? next.out_offset
							       : index_info(ix)->len;
}

int unpack_plan(const struct layer_index *ix, uint64_t offset, uint64_t len,
		struct unpack_plan *out, struct err *e)
{
	const struct layer_info *info = index_info(ix);
	struct index_checkpoint cp, next;
	uint64_t end, in_end = info->compressed_len;

	if (offset > info->len || len > info->len - offset || len == 0)
		return err_set(e, EINVAL, "bytes %" PRIu64 "+%" PRIu64 " of a layer of %" PRIu64,
			       offset, len, info->len);
	if (index_chunks(ix)) {
		plan_chunks(index_chunks(ix), offset, len, out);
		return 0;
	}
	choose(ix, offset, &cp);
	end = block_end(ix, offset + len - 1);
	out->in_offset = cp.in_offset - (cp.bit_count > 0);
	out->out_offset = (cp.out_offset + LAYER_BLOCK_LEN - 1) / LAYER_BLOCK_LEN * LAYER_BLOCK_LEN;
	out->out_len = end - out->out_offset;
	if (info->compression == LAYER_PLAIN)
		in_end = end;
	else if (index_checkpoint_after(ix, end, &next))
		in_end = next.in_offset;
	out->in_len = in_end - out->in_offset;
	return 0;
}

/* The block that was gathered, verified, goes out. */
static int block_done(struct unpacking *u, struct err *e)
{
	uint64_t start = u->pos - u->have;
	int r = index_block_check(u->ix, start / LAYER_BLOCK_LEN, u->block, u->have, e);

	if (r == 0)
		r = u->io->block(u->io->arg, start, u->block, u->have, e);
	u->have = 0;
	u->done = u->pos >= u->end;
	return r < 0 ? r : 0;
}

static int took_bytes(void *arg, const void *data, size_t len, struct err *e)
{
	struct unpacking *u = arg;
	const unsigned char *at = data;
	int r = 0;

	while (r == 0 && len && !u->done) {
		bool before = u->pos < u->from; /* the first whole block */
		uint64_t left = (before ? u->from : block_end(u->ix, u->pos)) - u->pos;
		size_t n = len < left ? len : (size_t)left;

		if (!before) {
			memcpy(u->block + u->have, at, n);
			u->have += n;
		}
		at += n;
		len -= n;
		u->pos += n;
		if (!before && n == left)
			r = block_done(u, e);
	}
	return r;
}

static int inflate_at(struct unpacking *u, uint64_t offset, struct inflate **out, struct err *e)
{
	struct inflate_sink sink = {.bytes = took_bytes, .arg = u};
	cleanup(free_at) unsigned char *window = mem_alloc(INDEX_WINDOW_LEN);
	struct inflate_place place = {.window = window};
	struct index_checkpoint cp;
	int r;

	choose(u->ix, offset, &cp);
	r = index_window_read(u->ix, &cp, window, &place.window_len, e);
	place.in_offset = cp.in_offset;
	place.out_offset = cp.out_offset;
	place.bit_count = cp.bit_count;
	place.fresh = cp.fresh;
	u->pos = cp.out_offset;
	if (r == 0)
		r = inflate_new_at(&sink, index_info(u->ix)->compression, &place, out, e);
	return r;
}

/* Until all blocks are out. */
static int pump(struct unpacking *u, struct inflate *f, const struct unpack_plan *plan,
		struct err *e)
{
	int r = feed_inflate(f, u->io, plan->in_offset, plan->in_offset + plan->in_len, &u->done,
			     e);

	if (r == 0 && !u->done)
		r = err_set(e, EBADMSG, "layer sha256:%s ends too early",
			    index_info(u->ix)->digest);
	return r;
}

/* Each block by itself: it begins where inflating can begin. */
static int unpack_chunks(const struct chunks *c, const struct unpack_plan *plan,
			 const struct unpack_io *io, struct err *e)
{
	uint64_t at = plan->out_offset, len;
	int r = 0;

	while (r == 0 && at < plan->out_offset + plan->out_len) {
		cleanup(free_at) unsigned char *block = NULL;
		uint64_t no = chunks_block_at(c, at);

		chunks_block_extent(c, no, &at, &len);
		block = mem_alloc(len);
		r = chunks_block_unpack(c, no, io, block, e);
		if (r == 0)
			r = io->block(io->arg, at, block, len, e);
		at += len;
	}
	return r;
}

int unpack_range(const struct layer_index *ix, uint64_t offset, uint64_t len,
		 const struct unpack_io *io, struct err *e)
{
	cleanup(inflate_free_at) struct inflate *f = NULL;
	cleanup(free_at) unsigned char *block = NULL;
	struct unpacking u = {.ix = ix, .io = io};
	struct unpack_plan plan;
	int r = unpack_plan(ix, offset, len, &plan, e);

	if (r < 0)
		return r;
	if (index_chunks(ix))
		return unpack_chunks(index_chunks(ix), &plan, io, e);
	u.block = block = mem_alloc(LAYER_BLOCK_LEN);
	u.from = plan.out_offset;
	u.end = plan.out_offset + plan.out_len;
	r = inflate_at(&u, offset, &f, e);
	return r < 0 ? r : pump(&u, f, &plan, e);
}

/* ---- the whole */

static int take_sum(void *arg, const void *data, size_t len, struct err *e)
{
	(void)e;
	sha256_update(arg, data, len);
	return 0;
}

static int sum_all(const struct layer_index *ix, const struct unpack_io *io, struct sha256 *sum,
		   struct err *e)
{
	const struct inflate_sink sink = {.bytes = take_sum, .arg = sum};
	cleanup(inflate_free_at) struct inflate *f = inflate_new(&sink);
	int r = feed_inflate(f, io, 0, index_info(ix)->compressed_len, NULL, e);

	return r == 0 ? inflate_end(f, e) : r;
}

int unpack_check_diff(const struct layer_index *ix, const struct unpack_io *io, struct err *e)
{
	struct sha256 *sum = sha256_new();
	char is[DIGEST_HEX_LEN + 1];
	int r = sum_all(ix, io, sum, e);

	if (r == 0)
		sha256_final(sum, is);
	sha256_free(sum);
	if (r == 0 && strcmp(is, index_info(ix)->diff_id) != 0)
		r = err_set(e, EBADMSG, "the uncompressed layer is sha256:%s", is);
	return r;
}
