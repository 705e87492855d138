/* Bytes on their way into the store. */
#include "daemon/transfer.h"

#include "base/bucket.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/host.h"
#include "daemon/origin.h"
#include "daemon/piece_client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

/* A transfer slower than this on the whole is given up. */
#define BYTES_PER_MS_MIN 16
#define TIME_MIN_MS	 60000
#define TURN_MS_MAX	 50
/* So many blocks of a piece are here before others are told of it: who comes by it slowly would
 * only keep them waiting (docs/adr/0014-pieces-passed-on-as-they-come.md). */
#define BLOCKS_TOLD 4

/* A piece on its way. */
struct arrival {
	const struct transfer *t;
	struct store_slot slot;
	bool open;		       /* slot is */
	bool fault;		       /* the slot failed: our fault */
	unsigned passed_on;	       /* blocks that others may have */
	bool awaited;		       /* by a reader, when it was asked for */
	const struct piece_head *head; /* what the parent said; NULL = the origin */
	/* of this piece; first 0 = no byte yet */
	int64_t since_us, first_us, write_us;
	int64_t held_us, held_before_us; /* of all of the run, and before this piece */
	/* for the span, of all pieces of a run */
	int64_t began_us, first_byte_us, commit_us; /* commit: comparing, syncing, publishing */
	uint64_t bytes;
};

/* Whether somebody looks at when what happened. */
static bool is_traced(const struct arrival *a)
{
	return a->t->span && a->t->span->recording;
}

static void trace_end(const struct arrival *a)
{
	struct span *span = a->t->span;

	if (!is_traced(a))
		return;
	span_number(span, "d7y.piece.size", (int64_t)a->bytes);
	if (a->first_byte_us)
		span_number(span, "d7y.piece.wait_us", a->first_byte_us - a->began_us);
	if (a->first_byte_us)
		span_number(span, "d7y.piece.transfer_us",
			    clock_us() - a->first_byte_us - a->commit_us);
	span_number(span, "d7y.piece.verify_us", a->commit_us);
}

static int64_t deadline_of(uint64_t len)
{
	return clock_ms() + TIME_MIN_MS + (int64_t)(len / BYTES_PER_MS_MIN);
}

/* index is FETCHING; on failure it is given back. */
static int arrival_begin(struct arrival *a, uint32_t index, struct err *e)
{
	int r = store_slot_open(a->t->st, index, &a->slot, e);

	if (r < 0) {
		a->fault = true;
		piece_give_back(a->t->pieces, index);
		return err_wrap(e, "piece %u", index);
	}
	a->open = true;
	a->since_us = clock_us();
	a->first_us = a->write_us = 0;
	a->passed_on = 0;
	a->held_before_us = a->held_us;
	if (!a->began_us)
		a->began_us = a->since_us;
	return 0;
}

static int arrival_write(struct arrival *a, const void *data, size_t len, struct err *e)
{
	int64_t now = clock_us();
	int r = store_slot_write(&a->slot, data, len, e);

	if (!a->first_us)
		a->first_us = now;
	if (!a->first_byte_us)
		a->first_byte_us = now;
	a->write_us += clock_us() - now;
	if (r < 0)
		a->fault = true;
	a->bytes += len;
	return r;
}

/* The slot is closed, and what was passed on of the piece is all that there was. */
static void take_back(struct arrival *a)
{
	if (a->passed_on >= BLOCKS_TOLD)
		a->t->coming(a->t->arg, a->slot.index, false);
}

static struct piece_times arrival_times(const struct arrival *a, int64_t last_us)
{
	int64_t first = a->first_us ? a->first_us : last_us;

	return (struct piece_times){.wait = first - a->since_us,
				    .transfer = last_us - first,
				    .write = a->write_us,
				    .held = a->held_us - a->held_before_us,
				    .verify = clock_us() - last_us};
}

static int commit(struct arrival *a, const uint32_t *crc32, enum store_source source, struct err *e)
{
	const struct transfer *t = a->t;
	int64_t last_us = clock_us();
	uint32_t index = a->slot.index, cost_ms = (uint32_t)((last_us - a->since_us) / 1000);
	struct piece_times times;
	struct store_piece piece = {.length = a->slot.length,
				    .crc32 = a->slot.crc32,
				    .source = (uint8_t)source,
				    .created_s = clock_wall_ms() / 1000,
				    .cost_ms = cost_ms};
	int volatile_fd = -1;
	int r = store_slot_commit(&a->slot, crc32, source, cost_ms, &volatile_fd, e);

	a->open = false;
	times = arrival_times(a, last_us);
	if (r < 0 || volatile_fd >= 0)
		take_back(a);
	if (r < 0) {
		a->fault = r != -EBADMSG;
		piece_give_back(t->pieces, index);
		return err_wrap(e, "piece %u", index);
	}
	piece.xxh3 = a->slot.xxh3;
	host_count_rx(t->host, piece.length);
	piece_publish(t->pieces, index, volatile_fd);
	if (volatile_fd < 0)
		t->arrived(t->arg, index, &piece, &times);
	else
		t->went_volatile(t->arg);
	return 0;
}

static int arrival_commit(struct arrival *a, const uint32_t *crc32, enum store_source source,
			  struct err *e)
{
	int64_t since_us = is_traced(a) ? clock_us() : 0;
	int r = commit(a, crc32, source, e);

	if (since_us)
		a->commit_us += clock_us() - since_us;
	return r;
}

static void arrival_abort(struct arrival *a)
{
	if (!a->open)
		return;
	store_slot_abort(&a->slot);
	a->open = false;
	take_back(a);
	piece_give_back(a->t->pieces, a->slot.index);
}

static enum transfer_fault fault_of(const struct transfer *t, const struct arrival *a,
				    const struct err *e)
{
	if (__atomic_load_n(t->cancelled, __ATOMIC_RELAXED) || e->code == ECANCELED)
		return TRANSFER_CANCELLED;
	if (a->fault)
		return TRANSFER_STORE;
	if (a->head && a->head->blocks.coming)
		return TRANSFER_LOST;
	return TRANSFER_SENDER;
}

/* ---- from a parent */

static void meter_begin(const struct transfer *t, const struct piece_head *head)
{
	if (t->meter)
		__atomic_store_n(&t->meter->coming, head->blocks.coming, __ATOMIC_RELAXED);
}

static void meter_add(const struct transfer *t, size_t len)
{
	if (!t->meter)
		return;
	__atomic_add_fetch(&t->meter->got, (uint32_t)len, __ATOMIC_RELAXED);
	__atomic_store_n(&t->meter->heard_ms, clock_ms(), __ATOMIC_RELAXED);
}

/* Sleeps as long as the limit on bandwidth says, or until it is cancelled. A reader may have come
 * since the piece was begun. */
static int wait_for_turn(const struct transfer *t, uint32_t index, size_t len, struct err *e)
{
	bool urgent = piece_is_awaited(t->pieces, index);
	int64_t until, now;

	until = clock_ms() + (urgent ? bucket_take_first : bucket_take)(t->bandwidth, len);

	while ((now = clock_ms()) < until) {
		int64_t ms = until - now < TURN_MS_MAX ? until - now : TURN_MS_MAX;

		if (__atomic_load_n(t->cancelled, __ATOMIC_RELAXED))
			return err_set(e, ECANCELED, "cancelled");
		poll(NULL, 0, (int)ms);
		meter_add(t, 0); /* it is not the parent that is silent */
	}
	return 0;
}

/* ---- by blocks */

/* Without memory for it the piece is shown as a whole, like others. */
static void show_begin(struct arrival *a)
{
	struct err why;
	int fd;

	if (store_shown_open(store_task_store(a->t->st), a->slot.length, &fd, &why) < 0) {
		log_debug("piece is not shown by blocks", "piece=%u why=\"%s\"", a->slot.index,
			  why.text);
		return;
	}
	store_slot_show(&a->slot, fd);
	piece_show(a->t->pieces, a->slot.index, fd);
}

/* Before the first byte. */
static int blocks_begin(struct arrival *a, struct err *e)
{
	const struct vortex_blocks *b = &a->head->blocks;

	if (!a->head->has_crc32 ||
	    crc32_of_parts(b->crc32, b->length, a->slot.length) != a->head->crc32)
		return err_set(e, EBADMSG, "digests of blocks that are not those of piece %u",
			       a->slot.index);
	meter_begin(a->t, a->head);
	store_slot_begin_at(&a->slot, b->first);
	store_slot_promise(&a->slot, a->head->crc32, b->crc32);
	if (a->awaited)
		show_begin(a);
	return 0;
}

static void pass_on(struct arrival *a, unsigned block)
{
	if (store_slot_pass_on(&a->slot, block) && ++a->passed_on == BLOCKS_TOLD)
		a->t->coming(a->t->arg, a->slot.index, true);
}

/* Bytes of one block, left of which were missing. */
static int block_write(struct arrival *a, unsigned block, uint32_t left, const void *data,
		       uint32_t len, struct err *e)
{
	if (arrival_write(a, data, len, e) < 0)
		return -e->code;
	if (len < left)
		return 0;
	if (a->slot.blocks[block] != a->head->blocks.crc32[block])
		return err_set(e, EBADMSG, "piece %u has not the bytes of its digest in block %u",
			       a->slot.index, block);
	if (a->slot.shown_fd >= 0)
		piece_show_block(a->t->pieces, a->slot.index, block);
	pass_on(a, block);
	return 0;
}

static int blocks_write(struct arrival *a, const char *data, size_t len, struct err *e)
{
	int r = a->slot.written == 0 ? blocks_begin(a, e) : 0;

	while (r == 0 && len > 0) {
		uint32_t left, part;
		unsigned block = store_slot_block(&a->slot, &left);

		part = len < left ? (uint32_t)len : left;
		r = block_write(a, block, left, data, part, e);
		data += part;
		len -= part;
	}
	return r;
}

static int parent_sink(void *arg, const void *data, size_t len, struct err *e)
{
	struct arrival *a = arg;
	int r = (a->head->blocks.count ? blocks_write(a, data, len, e)
				       : arrival_write(a, data, len, e));
	int64_t since_us = clock_us();

	meter_add(a->t, len);
	if (r == 0)
		r = wait_for_turn(a->t, a->slot.index, len, e);
	a->held_us += clock_us() - since_us;
	return r;
}

static struct piece_ask ask_for(const struct transfer *t, uint32_t index, bool urgent)
{
	const struct store_meta *m = store_task_meta(t->st);
	uint32_t length = geometry_length(&m->geometry, index);

	return (struct piece_ask){.task_id = m->id,
				  .number = index,
				  .offset = geometry_offset(&m->geometry, index),
				  .length = length,
				  .urgent = urgent,
				  .block_length =
					  t->by_blocks ? geometry_block_length(&m->geometry) : 0,
				  .deadline_ms = deadline_of(length),
				  .stall_ms = t->stall_ms,
				  .cancelled = t->cancelled};
}

enum transfer_fault transfer_keep_copy(const struct transfer *t, uint32_t index,
				       struct transfer_copy *copy, struct err *e)
{
	cleanup(free_at) void *data = take_ptr(&copy->data);
	struct arrival a = {.t = t};

	if (arrival_begin(&a, index, e) < 0)
		return TRANSFER_STORE;
	if (arrival_write(&a, data, copy->length, e) < 0) {
		arrival_abort(&a);
		return TRANSFER_STORE;
	}
	return arrival_commit(&a, &copy->crc32, STORE_FROM_PEER, e) < 0 ? TRANSFER_STORE
									: TRANSFER_NO_FAULT;
}

/* The copy takes the slot's place; the piece stays taken in between. */
static enum transfer_fault yield_to(struct arrival *a, struct transfer_copy *copy, struct err *e)
{
	enum transfer_fault fault;
	uint32_t index = a->slot.index;

	store_slot_abort(&a->slot);
	a->open = false;
	take_back(a);
	fault = transfer_keep_copy(a->t, index, copy, e);
	return fault == TRANSFER_NO_FAULT ? TRANSFER_BEATEN : fault;
}

enum transfer_fault transfer_from_parent(const struct transfer *t, const struct net_addr *addr,
					 uint32_t index, bool urgent, struct err *e)
{
	struct piece_ask ask = ask_for(t, index, urgent);
	struct transfer_copy copy = {0};
	struct piece_head got = {0};
	struct arrival a = {.t = t, .head = &got};
	int r = arrival_begin(&a, index, e);
	bool whole;

	if (r < 0)
		return TRANSFER_STORE;
	a.awaited = t->by_blocks && piece_awaited_block(t->pieces, index, &ask.first_block);
	r = piece_client_fetch(t->piece_client, addr, &ask, &got, parent_sink, &a, e);
	whole = r == 0 && got.has_crc32 && got.crc32 == a.slot.crc32;
	if (t->beaten && t->beaten(t->arg, whole, &copy))
		return yield_to(&a, &copy, e);
	if (r < 0) {
		arrival_abort(&a);
		if (a.fault || (r != -ENOENT && r != -EBADMSG))
			return fault_of(t, &a, e);
		return r == -ENOENT ? TRANSFER_LACKS : TRANSFER_CORRUPT;
	}
	if (!got.has_crc32) {
		arrival_abort(&a);
		err_set(e, EBADMSG, "piece %u came without a digest", index);
		return TRANSFER_CORRUPT;
	}
	r = arrival_commit(&a, &got.crc32, STORE_FROM_PEER, e);
	trace_end(&a);
	if (r < 0)
		return a.fault ? TRANSFER_STORE : TRANSFER_CORRUPT;
	return TRANSFER_NO_FAULT;
}

/* A piece on its way into memory. */
struct arriving_copy {
	const struct transfer *t;
	struct transfer_copy *copy;
	uint32_t index, got;
};

static int copy_sink(void *arg, const void *data, size_t len, struct err *e)
{
	struct arriving_copy *c = arg;

	/* piece_client_fetch() gives exactly what was asked for. */
	assert(len <= c->copy->length - c->got);
	memcpy((char *)c->copy->data + c->got, data, len);
	c->copy->crc32 = crc32_update(c->copy->crc32, data, len);
	c->got += (uint32_t)len;
	meter_add(c->t, len);
	return wait_for_turn(c->t, c->index, len, e);
}

enum transfer_fault transfer_copy_from_parent(const struct transfer *t, const struct net_addr *addr,
					      uint32_t index, bool urgent,
					      struct transfer_copy *out, struct err *e)
{
	struct piece_ask ask = ask_for(t, index, urgent);
	struct arriving_copy c = {.t = t, .copy = out, .index = index};
	struct piece_head got = {0};
	struct arrival none = {.t = t, .head = &got};
	int r;

	*out = (struct transfer_copy){.data = mem_alloc(ask.length),
				      .length = (uint32_t)ask.length};
	r = piece_client_fetch(t->piece_client, addr, &ask, &got, copy_sink, &c, e);
	if (r == 0 && got.has_crc32 && got.crc32 == out->crc32)
		return TRANSFER_NO_FAULT;
	free(take_ptr(&out->data));
	if (r < 0)
		return r == -ENOENT ? TRANSFER_LACKS : fault_of(t, &none, e);
	err_set(e, EBADMSG, "piece %u has not the bytes of its digest", index);
	return TRANSFER_CORRUPT;
}

/* ---- from the origin */

/* A stream of bytes cut into pieces. */
struct run {
	struct arrival a;
	const struct geometry *g;
	uint32_t next, end; /* pieces that have not begun */
	uint64_t skip;	    /* bytes of a piece that another has */
	bool whole;	    /* pieces that others have are skipped, not the end */
	bool stolen;
};

static int run_begin_piece(struct run *run, struct err *e)
{
	uint32_t index = run->next;

	if (index >= run->end)
		return err_set(e, EPROTO, "the origin sends more than it was asked for");
	run->next++;
	if (!piece_claim(run->a.t->pieces, index)) {
		run->skip = geometry_length(run->g, index);
		run->stolen = !run->whole;
		return run->stolen ? err_set(e, ECANCELED, "piece %u is another's", index) : 0;
	}
	return arrival_begin(&run->a, index, e);
}

static int origin_run_sink(void *arg, const void *data, size_t len, struct err *e)
{
	struct run *run = arg;
	const char *at = data;

	if (run->a.t->origin_bytes)
		__atomic_add_fetch(run->a.t->origin_bytes, len, __ATOMIC_RELAXED);
	while (len > 0) {
		struct store_slot *slot = &run->a.slot;
		size_t n = len;
		int r = 0;

		if (!run->a.open && run->skip == 0)
			r = run_begin_piece(run, e);
		if (r < 0)
			return r;
		if (run->skip > 0) {
			n = n < run->skip ? n : (size_t)run->skip;
			run->skip -= n;
		} else {
			n = n < slot->length - slot->written ? n : slot->length - slot->written;
			r = arrival_write(&run->a, at, n, e);
			if (r == 0 && slot->written == slot->length)
				r = arrival_commit(&run->a, NULL, STORE_FROM_ORIGIN, e);
		}
		if (r < 0)
			return r;
		at += n;
		len -= n;
	}
	return 0;
}

static enum transfer_fault stream_run(const struct transfer *t, const struct source *s,
				      struct run *run, uint64_t off, uint64_t len, struct err *e)
{
	struct origin_request rq = {.url = s->url,
				    .headers = &s->headers,
				    .off = off,
				    .len = len,
				    .deadline_ms = deadline_of(len ? len : run->g->content_length),
				    .cancelled = t->cancelled,
				    .same_as = t->same_as,
				    .held_us = &run->a.held_us};
	int r = origin_get(t->origin, &rq, origin_run_sink, run, e);

	/* An origin that does not say the length cannot be caught being short by origin_get(). */
	if (r == 0 && (run->a.open || run->skip || run->next < run->end))
		r = err_set(e, EPROTO, "the origin sends less than it should");
	arrival_abort(&run->a);
	trace_end(&run->a);
	if (r == 0 || run->stolen)
		return TRANSFER_NO_FAULT;
	return fault_of(t, &run->a, e);
}

enum transfer_fault transfer_from_origin(const struct transfer *t, const struct source *s,
					 uint32_t first, uint32_t count, struct err *e)
{
	const struct geometry *g = &store_task_meta(t->st)->geometry;
	uint32_t last = first + count - 1;
	uint64_t off = geometry_offset(g, first);
	uint64_t len = geometry_offset(g, last) + geometry_length(g, last) - off;
	struct run run = {.a = {.t = t}, .g = g, .next = first + 1, .end = first + count};
	enum transfer_fault fault = TRANSFER_STORE;

	if (arrival_begin(&run.a, first, e) == 0)
		fault = stream_run(t, s, &run, off, len, e);
	piece_unreserve(t->pieces, first + 1, count - 1);
	return fault;
}

enum transfer_fault transfer_stream(const struct transfer *t, const struct source *s, struct err *e)
{
	const struct geometry *g = &store_task_meta(t->st)->geometry;
	struct run run = {.a = {.t = t}, .g = g, .end = g->piece_count, .whole = true};

	return stream_run(t, s, &run, 0, 0, e);
}
