/*
 * Pieces that are asked for twice: what a reader waits for, what is last of a task, and what comes
 * from a parent that has fallen silent, when it takes much longer than it usually does. The second
 * copy goes to memory; who has the whole piece first wins, and the other is cancelled. The piece's
 * slot stays with the worker that began it: a copy that wins is handed to that one.
 *
 *	a copy is asked for when	not before
 *	a reader waits			twice the parent's usual time, and second_ms
 *	the piece is one of the last	three times the usual time, and four times second_ms
 *	nothing comes any more		six times second_ms of silence, however long pieces take
 *
 * and not while bytes come so fast that the rest is here before a copy would be. If a reader waits
 *and no other parent has told of the piece, all are asked for it; not otherwise, as whoever is fed
 *by the same parent would ask for the same pieces, and a crowd in step is slow.
 *
 * Bounds: a twentieth of the content (or one piece, if that is more) may come twice in an attempt:
 * when so much has, or may with those under way, no more are asked for. SECONDS_MAX at a time,
 * MEMORY_MAX for all tasks.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/fetch_private.h"

#include <errno.h>
#include <stdlib.h>

#define SECONDS_MAX	2
#define LAST_MAX	4 /* so few pieces on their way are the last */
#define SHARE_OF_BYTES	20
#define MEMORY_MAX	(32u << 20)
#define LOOK_AGAIN_MS	50
#define ASK_EVERY_MS	1000
#define SILENCE		6 /* times second_ms */
#define FIRST_MS	4 /* times second_ms: what a parent is thought to need that sent nothing yet */
#define FIRST_MS_PER_MB 100

/* ---- flights */

void flight_begin(struct fetch *f, struct work *w, struct feeder *feeder)
{
	int64_t now = clock_ms();

	w->addr = feeder->addr;
	w->by_blocks = feeder->by_blocks;
	w->flight = (struct flight){.index = w->job.index,
				    .feeder = feeder,
				    .second = w->kind == SECOND,
				    .began_ms = now,
				    .meter.heard_ms = now};
	list_push_back(&f->flights, &w->flight.link);
}

void flight_end(struct fetch *f, struct flight *fl)
{
	list_remove(&fl->link);
	swarm_done(f->swarm, fl->feeder);
	if (fl->giver)
		swarm_done(f->swarm, fl->giver);
}

static void cancel(struct flight *fl)
{
	__atomic_store_n(&fl->cancelled, true, __ATOMIC_RELAXED);
}

void flights_cancel(struct fetch *f, const struct feeder *feeder, const uint32_t *index)
{
	list_each (it, &f->flights) {
		struct flight *fl = list_entry(it, struct flight, link);

		if ((!feeder || fl->feeder == feeder) && (!index || fl->index == *index))
			cancel(fl);
	}
}

/* Of this piece: the one that has its slot, or a copy. */
static struct flight *find(struct fetch *f, uint32_t index, bool second)
{
	list_each (it, &f->flights) {
		struct flight *fl = list_entry(it, struct flight, link);

		if (fl->index == index && fl->second == second && !fl->over)
			return fl;
	}
	return NULL;
}

static uint32_t got(const struct flight *fl)
{
	return __atomic_load_n(&fl->meter.got, __ATOMIC_RELAXED);
}

static bool is_coming(const struct flight *fl)
{
	return __atomic_load_n(&fl->meter.coming, __ATOMIC_RELAXED);
}

static int64_t silent_ms(const struct flight *fl, int64_t now)
{
	return now - __atomic_load_n(&fl->meter.heard_ms, __ATOMIC_RELAXED);
}

/* Bytes that have come for nothing. With the lock. */
static void waste(struct fetch *f, uint64_t bytes)
{
	f->wasted += bytes;
	__atomic_add_fetch(&f->all->tally.wasted, bytes, __ATOMIC_RELAXED);
}

bool flight_settle(void *arg, bool whole, struct transfer_copy *out)
{
	struct delivery *d = arg;
	struct flight *fl = d->flight, *second;
	struct transfer_copy copy;

	lock_take(&d->f->lock);
	fl->over = true;
	copy = fl->copy;
	fl->copy.data = NULL;
	second = whole ? find(d->f, fl->index, true) : NULL;
	if (second)
		cancel(second);
	if (whole && copy.data)
		waste(d->f, copy.length);
	else if (copy.data)
		d->feeder = fl->giver;
	lock_drop(&d->f->lock);
	if (whole)
		free(copy.data);
	else
		*out = copy;
	return !whole && copy.data;
}

/* ---- choosing */

static int64_t usual_ms(struct fetch *f, const struct feeder *feeder)
{
	uint32_t ms = swarm_usual_ms(f->swarm, feeder);

	if (ms)
		return ms;
	return FIRST_MS / 2 * f->all->c.second_ms +
	       f->meta->geometry.piece_length / (1u << 20) * FIRST_MS_PER_MB / 2;
}

static int64_t at_least(int64_t ms, int64_t least_ms)
{
	return ms > least_ms ? ms : least_ms;
}

/* When this piece may be asked for again; last: nothing else is left to be asked for. */
static int64_t due_ms(struct fetch *f, const struct flight *fl, bool last, int64_t now)
{
	int64_t usual = usual_ms(f, fl->feeder), least = f->all->c.second_ms;
	int64_t age = now - fl->began_ms, silence = silent_ms(fl, now);
	int64_t due = now - silence + SILENCE * least;
	uint64_t have = got(fl), missing = geometry_length(&f->meta->geometry, fl->index) - have;

	if (last && fl->began_ms + at_least(3 * usual, 4 * least) < due)
		due = fl->began_ms + at_least(3 * usual, 4 * least);
	if (piece_is_awaited(f->pieces, fl->index) &&
	    fl->began_ms + at_least(2 * usual, least) < due)
		due = fl->began_ms + at_least(2 * usual, least);
	if (due <= now && silence < SILENCE * least && silence < usual &&
	    (uint64_t)age * missing < have * (uint64_t)usual)
		due = now + LOOK_AGAIN_MS;
	return due;
}

static bool may_double(const struct flight *fl)
{
	return !fl->second && !fl->doubled && !fl->over &&
	       !__atomic_load_n(&fl->cancelled, __ATOMIC_RELAXED);
}

static bool within_bounds(struct fetch *f)
{
	const struct geometry *g = &f->meta->geometry;
	uint64_t max = g->content_length / SHARE_OF_BYTES;
	uint64_t memory = __atomic_load_n(&f->all->tally.seconds_memory, __ATOMIC_RELAXED);

	if (max < g->piece_length)
		max = g->piece_length;
	return f->seconds < SECONDS_MAX && memory + g->piece_length <= MEMORY_MAX &&
	       f->wasted + f->seconds * (uint64_t)g->piece_length < max;
}

static bool are_last(struct fetch *f)
{
	struct pieces_need need;
	unsigned count = 0;

	list_each (it, &f->flights)
		count++;
	if (count - f->seconds > LAST_MAX)
		return false;
	pieces_need(f->pieces, NULL, &need);
	return !need.fetch;
}

bool fetch_choose_second(struct fetch *f, enum piece_rank least, struct work *w)
{
	int64_t now = clock_ms();
	bool last;

	/* One may use a hand that is kept for readers. */
	if (list_empty(&f->flights) || (least == PIECE_URGENT && f->seconds > 0) ||
	    !within_bounds(f))
		return false;
	last = are_last(f);
	list_each (it, &f->flights) {
		struct flight *fl = list_entry(it, struct flight, link);
		struct feeder *other;

		if (!may_double(fl) || due_ms(f, fl, last, now) > now)
			continue;
		other = swarm_choose_other(f->swarm, fl->index, fl->feeder);
		if (!other)
			continue;
		fl->doubled = true;
		w->kind = SECOND;
		w->job = (struct piece_job){.index = fl->index, .rank = PIECE_URGENT};
		flight_begin(f, w, other);
		f->seconds++;
		__atomic_add_fetch(&f->all->tally.seconds, 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&f->all->tally.seconds_memory, f->meta->geometry.piece_length,
				   __ATOMIC_RELAXED);
		return true;
	}
	return false;
}

/* Until when a parent may send nothing. */
static int64_t patient_until_ms(const struct fetch *f, const struct flight *fl)
{
	return __atomic_load_n(&fl->meter.heard_ms, __ATOMIC_RELAXED) + f->all->c.silence_ms;
}

int64_t fetch_second_due_ms(struct fetch *f)
{
	int64_t now = clock_ms(), soonest = 0;
	bool bounded = within_bounds(f), last = are_last(f);

	list_each (it, &f->flights) {
		struct flight *fl = list_entry(it, struct flight, link);
		int64_t due = bounded && may_double(fl) ? due_ms(f, fl, last, now) : 0;

		/* What is due and was not chosen waits for a parent to tell of it. */
		if (due && due <= now && !fl->asked)
			due = f->second_asked_ms + ASK_EVERY_MS;
		if (due <= now || patient_until_ms(f, fl) < due)
			due = patient_until_ms(f, fl);
		if (due > now && (soonest == 0 || due < soonest))
			soonest = due;
	}
	return soonest;
}

struct feeder *fetch_find_silent(struct fetch *f, uint32_t *index_out)
{
	int64_t now = clock_ms();

	list_each (it, &f->flights) {
		struct flight *fl = list_entry(it, struct flight, link);
		bool silent = !fl->feeder->dropped && swarm_has_others(f->swarm, fl->feeder);

		list_each (other_it, &f->flights) {
			struct flight *other = list_entry(other_it, struct flight, link);

			if (other->feeder == fl->feeder && patient_until_ms(f, other) > now)
				silent = false;
		}
		if (!silent)
			continue;
		*index_out = fl->index;
		swarm_take(fl->feeder);
		return fl->feeder;
	}
	return NULL;
}

bool fetch_second_unknown(struct fetch *f, uint32_t *index_out)
{
	int64_t now = clock_ms();
	bool last;

	if (list_empty(&f->flights) || !within_bounds(f) || now < f->second_asked_ms + ASK_EVERY_MS)
		return false;
	last = are_last(f);
	list_each (it, &f->flights) {
		struct flight *fl = list_entry(it, struct flight, link);

		if (!may_double(fl) || fl->asked || due_ms(f, fl, last, now) > now ||
		    !piece_is_awaited(f->pieces, fl->index) ||
		    swarm_others_have(f->swarm, fl->index, fl->feeder))
			continue;
		fl->asked = true;
		f->second_asked_ms = now;
		*index_out = fl->index;
		return true;
	}
	return false;
}

/* ---- doing */

static bool is_silent(const struct fetch *f, const struct flight *fl)
{
	return silent_ms(fl, clock_ms()) >= SILENCE * f->all->c.second_ms;
}

/* True: the copy is with the worker that has the slot. *left_out: its parent, a reference as of
 * swarm_take(), when that sends nothing; it is not asked any more. */
static bool hand_over(struct fetch *f, struct flight *fl, struct transfer_copy *copy,
		      struct feeder **left_out)
{
	struct flight *first;

	lock_guard(&f->lock);
	first = find(f, fl->index, false);
	if (!first || first->copy.data)
		return false;
	first->copy = *copy;
	copy->data = NULL;
	first->giver = fl->feeder;
	swarm_take(first->giver);
	cancel(first);
	if (!is_silent(f, first)) {
		swarm_late(first->feeder);
	} else if (!first->feeder->dropped) {
		*left_out = first->feeder;
		swarm_take(first->feeder);
	}
	return true;
}

/* It is silent because those are that it has its pieces from. */
static bool only_passes_on(struct fetch *f, const struct feeder *feeder)
{
	lock_guard(&f->lock);
	list_each (it, &f->flights) {
		const struct flight *fl = list_entry(it, struct flight, link);

		if (fl->feeder == feeder && !is_coming(fl))
			return false;
	}
	return true;
}

void fetch_leave(struct fetch *f, uint32_t index, struct feeder *feeder)
{
	bool lost = only_passes_on(f, feeder);
	int64_t lost_us = f->all->c.silence_ms * 1000;
	struct err e = {0};

	err_set(&e, ETIMEDOUT, "sends nothing, others have pieces");
	fetch_parent_failed(f, feeder, index, lost ? TRANSFER_LOST : TRANSFER_SENDER, lost_us, &e);
	lock_guard(&f->lock);
	flights_cancel(f, feeder, lost ? &index : NULL);
	swarm_done(f->swarm, feeder);
}

/* The first one failed meanwhile and gave the piece back. */
static bool keep(struct fetch *f, struct work *w, const struct transfer *t,
		 struct transfer_copy *copy)
{
	struct err e = {0};

	if (!piece_claim(f->pieces, w->flight.index))
		return false;
	if (transfer_keep_copy(t, w->flight.index, copy, &e) == TRANSFER_STORE)
		fetch_store_failed(f, &e);
	return true;
}

void fetch_second(struct fetch *f, struct work *w)
{
	struct flight *fl = &w->flight;
	struct delivery d = {f, fl->feeder, fl};
	struct transfer t = fetch_transfer(f, &d);
	struct transfer_copy copy = {0};
	struct feeder *left = NULL;
	struct err e = {0};
	bool awaited = piece_is_awaited(f->pieces, fl->index), used = false;
	enum transfer_fault fault;

	fault = transfer_copy_from_parent(&t, &w->addr, fl->index, awaited, &copy, &e);
	if (fault == TRANSFER_NO_FAULT)
		used = hand_over(f, fl, &copy, &left) || keep(f, w, &t, &copy);
	else if (fault != TRANSFER_CANCELLED)
		fetch_parent_failed(f, fl->feeder, fl->index, fault,
				    (clock_ms() - fl->began_ms) * 1000, &e);
	free(copy.data);
	if (left)
		fetch_leave(f, fl->index, left);
	if (used)
		__atomic_add_fetch(&f->all->tally.seconds_used, 1, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&f->all->tally.seconds_memory, f->meta->geometry.piece_length,
			   __ATOMIC_RELAXED);
	lock_guard(&f->lock);
	if (fault == TRANSFER_NO_FAULT)
		swarm_delivered(fl->feeder, clock_ms() - fl->began_ms);
	if (!used)
		waste(f, got(fl));
	f->seconds--;
	flight_end(f, fl);
}

void fetch_beaten(struct fetch *f, const struct flight *fl)
{
	lock_guard(&f->lock);
	waste(f, got(fl));
}
