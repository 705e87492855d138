/*
 * Piece states (table in piece.h), a byte per piece. Waiters hang on a struct want, which exists
 * only while somebody waits, so memory follows readers and not the length of the content. One lock;
 * done() and everything else that may take long happens after it was dropped: a waiter is claimed
 * under the lock (state), then its timer is cancelled, then done() is called, so it is answered
 * once whoever comes first.
 */
#include "daemon/piece.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/mem.h"
#include "daemon/hold.h"
#include "daemon/piece_private.h"
#include "daemon/store.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define RANK_PIECES   30
#define VOLATILE_KEEP 4 /* of one task */

enum { WAITER_WAITING = 1, WAITER_ANSWERED };

/* ---- bitmaps and states; all with the lock */

void piece_set_state(struct pieces *p, uint32_t index, int state)
{
	int was = p->state[index];
	uint32_t len = geometry_length(&p->g, index);

	if (was == READY) {
		p->ready_count--;
		p->ready_bytes -= len;
		if (p->low > index)
			p->low = index;
	}
	if (state == READY) {
		p->ready_count++;
		p->ready_bytes += len;
	}
	if (was == FETCHING)
		p->fetching_count--;
	if (state == FETCHING)
		p->fetching_count++;
	p->state[index] = (uint8_t)state;
	bit_put(p->open, index, state == ABSENT || state == UNPROVEN || state == WANTED);
	if (p->unproven)
		bit_put(p->unproven, index, state == UNPROVEN);
	while (p->low < p->g.piece_count && p->state[p->low] == READY)
		p->low++;
}

struct pieces *pieces_new(struct store_task *st, struct piece_tally *tally)
{
	struct pieces *p = mem_new(struct pieces);
	uint32_t count = store_task_meta(st)->geometry.piece_count;

	p->g = store_task_meta(st)->geometry;
	p->st = st;
	p->tally = tally;
	lock_init(&p->lock, RANK_PIECES);
	p->state = mem_array(count, 1);
	p->open = mem_array(count / 64 + 1, sizeof(uint64_t));
	p->all_rank = PIECE_NONE;
	list_init(&p->wanted);
	list_init(&p->volatiles);
	list_init(&p->shown);
	for (unsigned i = 0; i < PIECE_BUCKETS; i++)
		list_init(&p->buckets[i]);
	for (uint32_t i = 0; i < count; i++) {
		enum store_piece_state s = store_piece_get(st, i, NULL);

		if (s == STORE_UNPROVEN && !p->unproven)
			p->unproven = mem_array(count / 64 + 1, sizeof(uint64_t));
		piece_set_state(p, i,
				s == STORE_PRESENT  ? READY
				: s == STORE_ABSENT ? ABSENT
						    : UNPROVEN);
	}
	return p;
}

void pieces_free(struct pieces *p)
{
	if (!p)
		return;
	pieces_drop_volatile(p, 0);
	assert(p->waiters == 0);
	lock_release(&p->lock);
	free(p->state);
	free(p->open);
	free(p->unproven);
	free(p);
}

/* ---- pieces in memory */

void extent_release(struct extent *x)
{
	if (x->hold)
		hold_unref(x->hold);
	*x = (struct extent){.fd = -1};
}

struct extent extent_keep(const struct extent *x)
{
	struct hold *h = x->hold;

	if (h)
		hold_ref(h);
	return *x;
}

/* The piece is not here any more; what is left of it goes when the last reader does. */
static void hold_retire(struct pieces *p, struct hold *h, struct list *gone)
{
	piece_set_state(p, h->index, ABSENT);
	p->volatile_count--;
	__atomic_sub_fetch(&p->tally->volatiles, 1, __ATOMIC_RELAXED);
	list_remove(&h->link);
	list_push_back(gone, &h->link);
}

static void hold_add(struct pieces *p, uint32_t index, int fd, struct list *gone)
{
	struct hold *h = hold_new(store_task_store(p->st), index, fd);

	list_push_back(&p->volatiles, &h->link);
	p->volatile_count++;
	__atomic_add_fetch(&p->tally->volatiles, 1, __ATOMIC_RELAXED);
	if (p->volatile_count > VOLATILE_KEEP)
		hold_retire(p, list_entry(p->volatiles.next, struct hold, link), gone);
}

void pieces_drop_volatile(struct pieces *p, int64_t idle_ms)
{
	struct list gone = LIST_INIT(gone);
	int64_t now = clock_ms();

	lock_take(&p->lock);
	list_each_safe (it, &p->volatiles) {
		struct hold *h = list_entry(it, struct hold, link);

		if (now - h->used_ms >= idle_ms)
			hold_retire(p, h, &gone);
	}
	lock_drop(&p->lock);
	holds_unref(&gone);
}

/* With the lock: the piece is FETCHING no more, or another comes. */
static void hold_unshow(struct pieces *p, uint32_t index, struct list *gone)
{
	struct hold *h = hold_find(&p->shown, index);

	if (!h)
		return;
	list_remove(&h->link);
	list_push_back(gone, &h->link);
}

/* All that the waiter wants is in blocks that are shown. */
static bool hold_has(const struct pieces *p, const struct hold *h, const struct waiter *w)
{
	uint32_t block = geometry_block_length(&p->g);
	uint64_t from = w->off - geometry_offset(&p->g, h->index);
	uint64_t first = from / block, last = (from + w->len - 1) / block;
	uint32_t wanted = (UINT32_C(2) << (last - first)) - 1;

	return ((uint64_t)h->blocks >> first & wanted) == wanted;
}

/* ---- wants and waiters */

struct want *piece_want_find(struct pieces *p, uint32_t index)
{
	list_each (it, &p->buckets[index % PIECE_BUCKETS]) {
		struct want *w = list_entry(it, struct want, bucket);

		if (w->index == index)
			return w;
	}
	return NULL;
}

static struct want *want_make(struct pieces *p, uint32_t index)
{
	struct want *w = piece_want_find(p, index);

	if (w)
		return w;
	w = mem_new(struct want);
	w->index = index;
	w->since_ms = clock_ms();
	list_init(&w->link);
	list_init(&w->waiters);
	list_push_back(&p->buckets[index % PIECE_BUCKETS], &w->bucket);
	if (p->state[index] != FETCHING)
		list_push_back(&p->wanted, &w->link);
	if (p->state[index] == ABSENT)
		piece_set_state(p, index, WANTED);
	return w;
}

static void want_free(struct pieces *p, struct want *w)
{
	list_remove(&w->link);
	list_remove(&w->bucket);
	if (p->state[w->index] == WANTED)
		piece_set_state(p, w->index, ABSENT);
	free(w);
}

/* Under the lock; afterwards nobody else may answer it. */
static void waiter_claim(struct pieces *p, struct waiter *w)
{
	w->state = WAITER_ANSWERED;
	list_remove(&w->link);
	p->waiters--;
	__atomic_sub_fetch(&p->tally->waiters, 1, __ATOMIC_RELAXED);
}

/* Those whose bytes are in h; NULL: everybody. */
static void claim(struct pieces *p, struct want *want, const struct hold *h, struct list *claimed)
{
	list_each_safe (it, &want->waiters) {
		struct waiter *w = list_entry(it, struct waiter, link);

		if (h && !hold_has(p, h, w))
			continue;
		waiter_claim(p, w);
		list_push_back(claimed, &w->link);
	}
	if (list_empty(&want->waiters))
		want_free(p, want);
}

static void expire(struct timer *t)
{
	struct waiter *w = t->arg;
	struct pieces *p = w->pieces;
	struct err e = {0};

	lock_take(&p->lock);
	if (w->state != WAITER_WAITING) {
		lock_drop(&p->lock);
		return;
	}
	struct want *want = piece_want_find(p, w->index);
	waiter_claim(p, w);
	if (list_empty(&want->waiters))
		want_free(p, want);
	lock_drop(&p->lock);
	err_set(&e, ETIMEDOUT, "piece %u did not come in time", w->index);
	w->done(w, NULL, &e);
}

static void answer_with_error(struct list *claimed, const struct err *e)
{
	for (struct list *l = list_pop_front(claimed); l; l = list_pop_front(claimed)) {
		struct waiter *w = list_entry(l, struct waiter, link);

		timer_cancel(&w->timer);
		w->done(w, NULL, e);
	}
}

/* ---- readers */

static struct extent extent_of(struct pieces *p, const struct waiter *w, struct hold *h)
{
	return (struct extent){
		.fd = h ? h->fd : store_task_fd(p->st), .off = w->off, .len = w->len, .hold = h};
}

static void answer(struct pieces *p, struct list *claimed, struct hold *h)
{
	for (struct list *l = list_pop_front(claimed); l; l = list_pop_front(claimed)) {
		struct waiter *w = list_entry(l, struct waiter, link);
		struct extent x = extent_of(p, w, h);

		timer_cancel(&w->timer);
		w->done(w, &x, NULL);
	}
}

static void refuse(struct waiter *w, int code, const char *why)
{
	struct err e = {0};

	err_set(&e, code, "%s", why);
	w->done(w, NULL, &e);
}

static bool inside_one_piece(const struct geometry *g, uint64_t off, uint32_t len)
{
	if (len == 0 || off >= g->content_length || len > g->content_length - off)
		return false;
	return geometry_index(g, off) == geometry_index(g, off + len - 1);
}

/* Adds the reader to those who wait. False at a bound. */
static bool join(struct pieces *p, struct waiter *w, int64_t timeout_ms)
{
	if (p->waiters >= PIECE_WAITERS_MAX)
		return false;
	if (__atomic_add_fetch(&p->tally->waiters, 1, __ATOMIC_RELAXED) > p->tally->waiters_max) {
		__atomic_sub_fetch(&p->tally->waiters, 1, __ATOMIC_RELAXED);
		return false;
	}
	p->waiters++;
	w->state = WAITER_WAITING;
	list_push_back(&want_make(p, w->index)->waiters, &w->link);
	timer_arm(&w->timer, timeout_ms);
	return true;
}

/* Where in memory it is, with a reference; NULL: in the store, or not here. */
static struct hold *memory_of(struct pieces *p, const struct waiter *w)
{
	struct hold *h = NULL;

	if (p->state[w->index] == VOLATILE)
		h = hold_find(&p->volatiles, w->index);
	else if (p->state[w->index] == FETCHING)
		h = hold_find(&p->shown, w->index);
	if (!h || (p->state[w->index] == FETCHING && !hold_has(p, h, w)))
		return NULL;
	h->used_ms = clock_ms();
	hold_ref(h);
	return h;
}

bool piece_read(struct pieces *p, uint64_t off, uint32_t len, struct waiter *w, int64_t timeout_ms)
{
	struct hold *h;
	bool here, moved = false, joined = false;

	w->pieces = p;
	list_init(&w->link);
	w->timer = (struct timer){.fire = expire, .arg = w};
	w->off = off;
	w->len = len;
	lock_take(&p->lock);
	w->state = WAITER_ANSWERED;
	if (!inside_one_piece(&p->g, off, len)) {
		lock_drop(&p->lock);
		refuse(w, EINVAL, "a read that is not inside one piece");
		return false;
	}
	w->index = geometry_index(&p->g, off);
	h = memory_of(p, w);
	here = p->state[w->index] == READY || h;
	if (!w->follows && p->ready_count < p->g.piece_count)
		moved = ahead_read(&p->ahead, &p->g, off, len) && pieces_have_ahead(p);
	if (!here)
		joined = join(p, w, timeout_ms);
	lock_drop(&p->lock);
	if (here) {
		struct extent x = extent_of(p, w, h);

		__atomic_add_fetch(&p->tally->hits, 1, __ATOMIC_RELAXED);
		w->done(w, &x, NULL);
		extent_release(&x);
		return moved;
	}
	__atomic_add_fetch(&p->tally->misses, 1, __ATOMIC_RELAXED);
	if (!joined)
		refuse(w, ENOBUFS, "too many reads wait");
	return joined;
}

bool piece_read_cancel(struct waiter *w)
{
	struct pieces *p = w->pieces;
	bool mine;

	lock_take(&p->lock);
	mine = w->state == WAITER_WAITING;
	if (mine) {
		struct want *want = piece_want_find(p, w->index);

		waiter_claim(p, w);
		if (list_empty(&want->waiters))
			want_free(p, want);
	}
	lock_drop(&p->lock);
	if (mine)
		timer_cancel(&w->timer);
	return mine;
}

void pieces_want_all(struct pieces *p, enum piece_rank rank)
{
	lock_guard(&p->lock);
	if (rank < p->all_rank)
		p->all_rank = rank;
}

void piece_hurry(struct pieces *p, uint32_t index)
{
	lock_guard(&p->lock);
	for (unsigned i = 0; i < PIECE_HURRIED_MAX; i++)
		if (index >= p->g.piece_count || p->hurried[i] == index + 1)
			return;
	p->hurried[p->hurried_next++ % PIECE_HURRIED_MAX] = index + 1;
}

bool piece_is_ready(struct pieces *p, uint32_t index)
{
	lock_guard(&p->lock);
	return index < p->g.piece_count && p->state[index] == READY;
}

bool piece_is_awaited(struct pieces *p, uint32_t index)
{
	lock_guard(&p->lock);
	return piece_want_find(p, index) != NULL;
}

uint32_t pieces_ready_count(struct pieces *p)
{
	lock_guard(&p->lock);
	return p->ready_count;
}

uint64_t pieces_ready_bytes(struct pieces *p)
{
	lock_guard(&p->lock);
	return p->ready_bytes;
}

/* ---- fetchers */

bool piece_awaited_block(struct pieces *p, uint32_t index, unsigned *block_out)
{
	const struct want *want;
	const struct waiter *w;

	lock_guard(&p->lock);
	want = piece_want_find(p, index);
	if (!want)
		return false;
	w = list_entry(want->waiters.next, struct waiter, link);
	*block_out =
		(unsigned)((w->off - geometry_offset(&p->g, index)) / geometry_block_length(&p->g));
	return true;
}

void piece_show(struct pieces *p, uint32_t index, int fd)
{
	struct hold *h = hold_new(store_task_store(p->st), index, fd);
	struct list gone = LIST_INIT(gone);

	lock_take(&p->lock);
	assert(p->state[index] == FETCHING);
	hold_unshow(p, index, &gone);
	list_push_back(&p->shown, &h->link);
	lock_drop(&p->lock);
	holds_unref(&gone);
}

void piece_show_block(struct pieces *p, uint32_t index, unsigned block)
{
	struct list claimed = LIST_INIT(claimed);
	struct want *want;
	struct hold *h;

	lock_take(&p->lock);
	h = hold_find(&p->shown, index);
	assert(h && p->state[index] == FETCHING);
	hold_ref(h);
	h->blocks |= UINT32_C(1) << block;
	want = piece_want_find(p, index);
	if (want)
		claim(p, want, h, &claimed);
	lock_drop(&p->lock);
	answer(p, &claimed, h);
	hold_unref(h);
}

void piece_publish(struct pieces *p, uint32_t index, int volatile_fd)
{
	struct list claimed = LIST_INIT(claimed), gone = LIST_INIT(gone);
	struct hold *h = NULL;
	struct want *want;

	lock_take(&p->lock);
	assert(p->state[index] == FETCHING);
	piece_set_state(p, index, volatile_fd < 0 ? READY : VOLATILE);
	if (volatile_fd >= 0) {
		hold_add(p, index, volatile_fd, &gone);
		h = hold_find(&p->volatiles, index);
		hold_ref(h);
	}
	hold_unshow(p, index, &gone);
	want = piece_want_find(p, index);
	if (want)
		claim(p, want, NULL, &claimed);
	lock_drop(&p->lock);
	holds_unref(&gone);
	answer(p, &claimed, h);
	if (h)
		hold_unref(h);
}

static void put_back(struct pieces *p, uint32_t index)
{
	struct want *w = piece_want_find(p, index);

	piece_set_state(p, index, w ? WANTED : ABSENT);
	if (w && list_empty(&w->link))
		list_push_front(&p->wanted, &w->link);
}

void piece_give_back(struct pieces *p, uint32_t index)
{
	struct list gone = LIST_INIT(gone);

	lock_take(&p->lock);
	assert(p->state[index] == FETCHING);
	hold_unshow(p, index, &gone);
	put_back(p, index);
	lock_drop(&p->lock);
	holds_unref(&gone);
}

void piece_unreserve(struct pieces *p, uint32_t index, uint32_t count)
{
	lock_guard(&p->lock);
	for (uint32_t i = index; i < index + count; i++)
		if (p->state[i] == RESERVED)
			put_back(p, i);
}

void pieces_fail(struct pieces *p, const struct err *e)
{
	struct list claimed = LIST_INIT(claimed);

	lock_take(&p->lock);
	for (unsigned i = 0; i < PIECE_BUCKETS; i++)
		list_each_safe (it, &p->buckets[i]) {
			struct want *want = list_entry(it, struct want, bucket);

			claim(p, want, NULL, &claimed);
		}
	p->all_rank = PIECE_NONE;
	ahead_narrow(&p->ahead, 0);
	lock_drop(&p->lock);
	answer_with_error(&claimed, e);
}

void pieces_want_none(struct pieces *p)
{
	lock_guard(&p->lock);
	p->all_rank = PIECE_NONE;
	ahead_narrow(&p->ahead, 0);
}

void piece_forget(struct pieces *p, uint32_t index)
{
	lock_guard(&p->lock);
	if (p->state[index] == READY)
		piece_set_state(p, index, ABSENT);
}

void pieces_forget_all(struct pieces *p)
{
	lock_guard(&p->lock);
	for (uint32_t i = 0; i < p->g.piece_count; i++)
		if (p->state[i] == READY)
			piece_set_state(p, i, ABSENT);
}

uint32_t *pieces_missing(struct pieces *p, size_t *count_out)
{
	uint32_t *missing, n = 0;

	lock_guard(&p->lock);
	*count_out = p->g.piece_count - p->ready_count;
	if (*count_out == 0)
		return NULL;
	missing = mem_array(*count_out, sizeof(*missing));
	for (uint32_t i = p->low; i < p->g.piece_count; i++)
		if (p->state[i] != READY)
			missing[n++] = i;
	return missing;
}
