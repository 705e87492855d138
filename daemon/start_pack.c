/* Packing and unpacking. Must not know: when an image starts, who records. */
#include "daemon/start_pack.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "daemon/pack_file.h"
#include "daemon/task_import.h"
#include "daemon/task_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define OPEN_TIMEOUT_MS 2000
#define STALL_MS	10000 /* for a piece, in a crowd; who has gone is noticed sooner by the fetch */
#define UNPACKERS	1     /* beside the one that reads the pack */
#define RANK_PACK	9

char *start_pack_name(const char *digest)
{
	return mem_printf(TASK_PACK_NAMES "1/sha256:%s", digest);
}

/* ---- the blocks of a record */

struct cargo {
	const struct start_pack_place *place;
	const struct start_record *record;
	struct layer **layers; /* as the record counts them; NULL: cannot be had */
	uint64_t **blocks;     /* bitmaps of them: what is packed, or what is ours to bring */
	uint64_t bytes;	       /* of those */
	/* packing */
	struct pack_writer *writer;
	/* unpacking */
	struct task *task;
	struct lock lock; /* for the blocks above, and for the following */
	uint64_t taken;	  /* bytes, unpacked */
	struct err failed;
};

static void cargo_init(struct cargo *c, const struct start_pack_place *p,
		       const struct start_record *r)
{
	*c = (struct cargo){.place = p, .record = r};
	c->layers = mem_array(r->layer_count + 1, sizeof(*c->layers));
	c->blocks = mem_array(r->layer_count + 1, sizeof(*c->blocks));
	lock_init(&c->lock, RANK_PACK);
}

static void cargo_release(struct cargo *c)
{
	for (uint32_t i = 0; i < c->record->layer_count; i++) {
		layer_unref_at(&c->layers[i]);
		free(c->blocks[i]);
	}
	free(c->layers);
	free(c->blocks);
	pack_writer_free_at(&c->writer);
	task_unref_at(&c->task);
	lock_release(&c->lock);
}

/* Takes the reference over. */
static void cargo_add(struct cargo *c, uint32_t i, struct layer *l)
{
	c->layers[i] = l;
	if (l)
		c->blocks[i] = mem_array(index_block_count(layer_index(l)) / 64 + 1,
					 sizeof(*c->blocks[i]));
}

static bool is_over(const struct cargo *c)
{
	return __atomic_load_n(c->place->stopping, __ATOMIC_RELAXED);
}

/* What is done with each block: 1 = it counts, 0 = it does not. */
typedef int visit_fn(struct cargo *c, uint32_t layer, uint32_t block, struct err *e);

static int visit_block(struct cargo *c, uint32_t layer, uint32_t block, visit_fn *visit,
		       struct err *e)
{
	uint64_t off, len;
	int r;

	if (bit_get(c->blocks[layer], block))
		return 0;
	r = visit(c, layer, block, e);
	if (r <= 0)
		return r;
	bit_set(c->blocks[layer], block);
	index_block_extent(layer_index(c->layers[layer]), block, &off, &len);
	c->bytes += len;
	return 0;
}

static int visit_run(struct cargo *c, const struct start_run *run, visit_fn *visit, struct err *e)
{
	struct layer *l = c->layers[run->layer];
	uint64_t off = (uint64_t)run->first * LAYER_BLOCK_LEN;
	uint64_t end = off + (uint64_t)run->count * LAYER_BLOCK_LEN;
	uint32_t last;
	int r = 0;

	if (!l || off >= layer_info(l)->len)
		return 0;
	end = end < layer_info(l)->len ? end : layer_info(l)->len;
	last = (uint32_t)index_block_at(layer_index(l), end - 1);
	for (uint32_t no = (uint32_t)index_block_at(layer_index(l), off); no <= last && r == 0;
	     no++) {
		if (c->bytes >= c->place->bytes_max)
			break;
		r = is_over(c) ? err_set(e, ECANCELED, "the daemon stops")
			       : visit_block(c, run->layer, no, visit, e);
	}
	return r;
}

static int visit_all(struct cargo *c, visit_fn *visit, struct err *e)
{
	int r = 0;

	for (uint32_t i = 0; i < c->record->run_count && r == 0; i++)
		r = visit_run(c, &c->record->runs[i], visit, e);
	return r;
}

/* ---- packing */

static int pack_block(struct cargo *c, uint32_t layer, uint32_t block, struct err *e)
{
	const struct pack_frame f = {.layer = layer, .block = block};
	char *data cleanup(free_at) = NULL;
	uint64_t off, len;
	int r;

	index_block_extent(layer_index(c->layers[layer]), block, &off, &len);
	data = mem_alloc(len);
	if (layer_read_block(c->layers[layer], block, data, e) < 0)
		return 0; /* it has gone, or never came */
	r = pack_writer_add(c->writer, &f, data, len, e);
	return r < 0 ? r : 1;
}

static int import_pack(struct cargo *c, int fd, struct start_record *r, struct err *e)
{
	uint64_t len = pack_writer_length(c->writer);
	char *name cleanup(free_at) = NULL;
	char digest[DIGEST_HEX_LEN + 1];
	int result;

	if (len == 0)
		return err_set(e, ENOENT, "none of its blocks is here");
	pack_writer_digest(c->writer, digest);
	name = start_pack_name(digest);
	result = task_import(c->place->tasks, name, fd, e);
	if (result < 0)
		return result;
	memcpy(r->pack, digest, sizeof(r->pack));
	r->pack_len = len;
	return 0;
}

int start_pack_make(const struct start_pack_place *p, struct start_record *r, struct err *e)
{
	int fd cleanup(close_at) = open(p->dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	struct cargo c cleanup(cargo_release);
	int result;

	cargo_init(&c, p, r);
	if (fd < 0)
		return err_set(e, errno, "temporary file in %s", p->dir);
	c.writer = pack_writer_new(fd);
	for (uint32_t i = 0; i < r->layer_count; i++)
		cargo_add(&c, i, layers_find_any(p->layers, r->layers[i]));
	result = visit_all(&c, pack_block, e);
	return result < 0 ? result : import_pack(&c, fd, r, e);
}

/* ---- unpacking */

/* From here on readers wait for it. */
static int claim_block(struct cargo *c, uint32_t layer, uint32_t block, struct err *e)
{
	(void)e;
	return layer_claim_block(c->layers[layer], block);
}

static void release_claims(struct cargo *c)
{
	for (uint32_t i = 0; i < c->record->layer_count; i++) {
		uint64_t count = c->layers[i] ? index_block_count(layer_index(c->layers[i])) : 0;

		for (uint32_t no = 0; no < count; no++) {
			if (bit_get(c->blocks[i], no))
				layer_release_block(c->layers[i], no);
		}
	}
}

/* No node makes a longer one: a block may go beyond the limit, and frames of what does not shrink
 * are a little longer. */
static bool is_too_long(const struct cargo *c)
{
	uint64_t max = c->place->bytes_max, len = c->record->pack_len;

	return len > max && len - max > max / 64 + LAYER_BLOCK_LEN;
}

static int open_task(struct cargo *c, struct err *e)
{
	char *name cleanup(free_at) = start_pack_name(c->record->pack);
	const struct task_request rq = {.content_for_id = name,
					.disable_back_to_source = true,
					.timeout_ms = OPEN_TIMEOUT_MS};
	int r;

	if (is_too_long(c))
		return err_set(e, EFBIG, "the pack is longer than what may be fetched ahead");
	r = task_open_wait(c->place->tasks, &rq, &c->task, e);
	if (r < 0)
		return r;
	if (task_meta(c->task)->geometry.content_length != c->record->pack_len)
		return err_set(e, EBADMSG, "the pack has another length");
	return 0;
}

/* What the record tells of and is to be had. */
static void get_layers(struct cargo *c, const struct layer_wish *wish)
{
	struct layer_wish w = *wish;

	for (uint32_t i = 0; i < c->record->layer_count; i++) {
		struct layer *l = NULL;
		struct err ignored;

		w.digest = c->record->layers[i];
		/* Whoever asks for the layer itself is told what is wrong. */
		if (layers_get(c->place->layers, &w, &l, &ignored) < 0)
			l = NULL;
		cargo_add(c, i, l);
	}
}

/* Waits for what take_all() wants as any download. Reading it as a reader does would have all nodes
 * of a crowd want the same piece at the same time, and nobody feed anybody. */
static int read_pack(struct cargo *c, uint64_t off, void *data, size_t len, struct err *e)
{
	const struct geometry *g = &task_meta(c->task)->geometry;
	uint32_t last = geometry_index(g, off + len - 1);
	int r = 0;

	for (uint32_t i = geometry_index(g, off); i <= last && r == 0; i++) {
		const struct task_wait w = {.deadline_ms = clock_ms() + STALL_MS,
					    .stopping = c->place->stopping};

		r = task_wait_piece(c->task, i, &w, e);
	}
	return r < 0 ? r : task_read_wait(c->task, off, data, len, c->place->stopping, e);
}

static bool is_wanted(struct cargo *c, const struct pack_frame *f)
{
	const struct layer *l = f->layer < c->record->layer_count ? c->layers[f->layer] : NULL;

	lock_guard(&c->lock);
	return l && f->block < index_block_count(layer_index(l)) &&
	       bit_get(c->blocks[f->layer], f->block);
}

static bool has_failed(struct cargo *c)
{
	lock_guard(&c->lock);
	return c->failed.code != 0;
}

static int take_block(struct cargo *c, const struct pack_frame *f, uint64_t off, struct err *e)
{
	struct layer *l = c->layers[f->layer];
	char *frame cleanup(free_at) = NULL, *block cleanup(free_at) = NULL;
	uint64_t at, len;
	int r;

	index_block_extent(layer_index(l), f->block, &at, &len);
	if (f->len > pack_frame_max(len))
		return err_set(e, EBADMSG, "a frame is longer than its block can be");
	frame = mem_alloc(f->len);
	block = mem_alloc(len);
	r = read_pack(c, off, frame, f->len, e);
	if (r == 0)
		r = pack_frame_unpack(frame, f->len, block, len, e);
	if (r == 0)
		r = layer_put_block(l, f->block, block, len, e);
	if (r < 0)
		return r;
	layer_read_now(l); /* somebody will */
	lock_guard(&c->lock);
	bit_clear(c->blocks[f->layer], f->block);
	c->taken += len;
	return 0;
}

/* One frame to be unpacked. */
struct errand {
	struct cargo *cargo;
	struct pack_frame frame;
	uint64_t off;
};

static void unpack(void *arg)
{
	struct errand *x cleanup(free_at) = arg;
	struct cargo *c = x->cargo;
	struct err e;

	if (has_failed(c) || take_block(c, &x->frame, x->off, &e) == 0)
		return;
	lock_guard(&c->lock);
	if (c->failed.code == 0)
		c->failed = e;
}

static int next_frame(struct cargo *c, uint64_t off, struct pack_frame *out, struct err *e)
{
	uint64_t left = c->record->pack_len - off;
	unsigned char head[PACK_HEAD_LEN];
	int r;

	if (left <= PACK_HEAD_LEN)
		return err_set(e, EBADMSG, "the pack ends within a frame");
	r = read_pack(c, off, head, sizeof(head), e);
	if (r < 0)
		return r;
	pack_head_read(head, out);
	if (out->len == 0 || out->len > left - PACK_HEAD_LEN)
		return err_set(e, EBADMSG, "a frame ends behind the pack");
	return 0;
}

/* Whoever finds all others busy unpacks himself. */
static int take_all(struct cargo *c, struct err *e)
{
	struct pool *others = pool_new("unpack", UNPACKERS, UNPACKERS);
	uint64_t end = c->record->pack_len;
	struct pack_frame f;
	int r = 0;

	task_want_all(c->task, TASK_REST);
	for (uint64_t off = 0; off < end && !has_failed(c); off += f.len) {
		struct errand *x;

		r = next_frame(c, off, &f, e);
		if (r < 0)
			break;
		off += PACK_HEAD_LEN;
		if (!is_wanted(c, &f))
			continue;
		x = mem_new(struct errand);
		*x = (struct errand){.cargo = c, .frame = f, .off = off};
		if (!pool_run(others, unpack, x))
			unpack(x);
	}
	pool_free(others);
	return r == 0 && c->failed.code ? err_copy(e, &c->failed) : r;
}

int start_pack_take(const struct start_pack_place *p, const struct start_record *r,
		    const struct layer_wish *wish, uint64_t *bytes_out, struct err *e)
{
	struct cargo c cleanup(cargo_release);
	int result;

	*bytes_out = 0;
	cargo_init(&c, p, r);
	result = open_task(&c, e);
	if (result < 0)
		return result;
	get_layers(&c, wish);
	result = visit_all(&c, claim_block, e);
	if (result == 0)
		result = take_all(&c, e);
	release_claims(&c);
	*bytes_out = c.taken;
	return result;
}
