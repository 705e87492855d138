/* The pieces that somebody is interested in, as they become READY (piece_feed.h). */
#include "daemon/piece_feed.h"

#include "base/bits.h"
#include "base/mem.h"

#define FEED_LOCK_RANK 8

static void feed_want(struct piece_feed *f, uint32_t number)
{
	if (number >= f->piece_count || bit_get(f->wanted, number))
		return;
	bit_set(f->wanted, number);
	f->left++;
}

static void feed_settle(struct piece_feed *f, uint32_t number)
{
	bit_clear(f->wanted, number);
	bit_clear(f->coming, number);
	f->left--;
}

static void feed_ready(struct piece_feed *f, uint32_t number)
{
	if (number >= f->piece_count || !bit_get(f->wanted, number))
		return;
	if (bit_get(f->coming, number) && !bit_get(f->ready, number)) {
		feed_settle(f, number); /* it was given before */
		return;
	}
	bit_clear(f->coming, number);
	bit_set(f->ready, number);
}

static void feed_changed(struct task_watch *w, uint32_t index, const struct err *e)
{
	struct piece_feed *f = w->arg;

	lock_take(&f->lock);
	if (e && f->failed.code == 0)
		f->failed = *e;
	else
		feed_ready(f, index);
	lock_drop(&f->lock);
	f->wake(f->arg);
}

static void feed_coming(struct task_watch *w, uint32_t index, bool comes)
{
	struct piece_feed *f = w->arg;

	if (!__atomic_load_n(&f->takes_coming, __ATOMIC_RELAXED))
		return;
	lock_take(&f->lock);
	if (bit_get(f->wanted, index) && bit_get(f->coming, index) != comes) {
		(comes ? bit_set : bit_clear)(f->coming, index);
		(comes ? bit_set : bit_clear)(f->ready, index);
	}
	lock_drop(&f->lock);
	f->wake(f->arg);
}

void piece_feed_open(struct piece_feed *f, struct task *t, const uint32_t *numbers, size_t count,
		     uint32_t first, uint32_t end, void (*wake)(void *arg), void *arg)
{
	*f = (struct piece_feed){.task = t,
				 .wake = wake,
				 .arg = arg,
				 .piece_count = task_meta(t)->geometry.piece_count};
	lock_init(&f->lock, FEED_LOCK_RANK);
	f->wanted = mem_array(f->piece_count / 64 + 1, sizeof(uint64_t));
	f->ready = mem_array(f->piece_count / 64 + 1, sizeof(uint64_t));
	f->coming = mem_array(f->piece_count / 64 + 1, sizeof(uint64_t));
	for (size_t i = 0; numbers && i < count; i++)
		feed_want(f, numbers[i]);
	for (uint32_t i = first; !numbers && i < end; i++)
		feed_want(f, i);
	f->watch = (struct task_watch){.changed = feed_changed, .coming = feed_coming, .arg = f};
	list_init(&f->watch.link);
	task_watch(t, &f->watch);
	for (uint32_t i = 0; i < f->piece_count; i++) {
		if (!bit_get(f->wanted, i) || !task_piece_ready(t, i))
			continue;
		lock_guard(&f->lock);
		/* The watch may have told it, and it may have been given. */
		feed_ready(f, i);
	}
}

void piece_feed_take_coming(struct piece_feed *f)
{
	__atomic_store_n(&f->takes_coming, true, __ATOMIC_RELAXED);
}

void piece_feed_close(struct piece_feed *f)
{
	task_unwatch(f->task, &f->watch);
	lock_release(&f->lock);
	free(f->wanted);
	free(f->ready);
	free(f->coming);
	f->wanted = f->ready = f->coming = NULL;
}

/* With the lock. */
static bool take(struct piece_feed *f, const uint64_t *avoid, uint32_t from, uint32_t *number_out)
{
	uint32_t words = f->piece_count / 64 + 1;

	for (uint32_t i = 0; i < words; i++) {
		uint32_t at = (from / 64 + i) % words;
		uint64_t word = f->ready[at] & ~(avoid ? avoid[at] : 0);

		if (!word)
			continue;
		*number_out = at * 64 + (uint32_t)__builtin_ctzll(word);
		bit_clear(f->ready, *number_out);
		if (!bit_get(f->coming, *number_out))
			feed_settle(f, *number_out);
		return true;
	}
	return false;
}

bool piece_feed_take(struct piece_feed *f, const uint64_t *avoid, uint32_t from,
		     uint32_t *number_out)
{
	lock_guard(&f->lock);
	return take(f, avoid, from, number_out);
}

bool piece_feed_next(struct piece_feed *f, uint32_t *number_out)
{
	lock_guard(&f->lock);
	if (!take(f, NULL, f->at, number_out))
		return false;
	f->at = *number_out;
	return true;
}

bool piece_feed_has(struct piece_feed *f)
{
	lock_guard(&f->lock);
	for (uint32_t i = 0; i < f->piece_count / 64 + 1; i++)
		if (f->ready[i])
			return true;
	return false;
}

uint32_t piece_feed_left(struct piece_feed *f)
{
	lock_guard(&f->lock);
	return f->left;
}

bool piece_feed_failed(struct piece_feed *f, struct err *e)
{
	lock_guard(&f->lock);
	if (f->failed.code == 0)
		return false;
	*e = f->failed;
	return true;
}
