/*
 * A gang is in one of two queues or in none. A thread that found work puts the gang back before it
 * begins, so the next thread looks too; a thread that found none does not. Whoever may have made
 * work kicks. So threads follow work, and a kick is never lost.
 */
#include "daemon/crew.h"

#include "base/lock.h"
#include "base/mem.h"
#include "base/pool.h"

#include <assert.h>

#define RANK_CREW 35

struct crew {
	unsigned thread_count, rest_max; /* constant */
	size_t work_size;		 /* constant */
	pthread_t *threads;
	struct lock lock; /* rank 35, for all below and for the private part of every gang */
	struct cond wake, idle;
	struct list urgent, rest;
	unsigned rest_hands;
	bool stopping;
};

/* ---- with the lock */

static void queue(struct crew *c, struct gang *g, bool urgent)
{
	if (g->left)
		return;
	if (g->queued && (g->urgent || !urgent))
		return;
	if (g->queued)
		list_remove(&g->link);
	list_push_back(urgent ? &c->urgent : &c->rest, &g->link);
	g->queued = true;
	g->urgent = urgent;
	cond_wake_one(&c->wake);
}

static struct gang *next(struct crew *c)
{
	struct list *l = list_pop_front(&c->urgent);
	struct gang *g;

	if (!l && c->rest_hands < c->rest_max)
		l = list_pop_front(&c->rest);
	if (!l)
		return NULL;
	g = list_entry(l, struct gang, link);
	g->queued = false;
	return g;
}

static unsigned share_of_rest(unsigned all)
{
	return all * 3 / 4 ? all * 3 / 4 : 1;
}

/* Counts a hand for work that nobody waits for, or takes the count back. */
static bool reserve_rest(struct crew *c, struct gang *g)
{
	if (c->rest_hands >= c->rest_max || g->rest_hands >= share_of_rest(g->hands_max))
		return false;
	c->rest_hands++;
	g->rest_hands++;
	return true;
}

static void release_rest(struct crew *c, struct gang *g)
{
	c->rest_hands--;
	g->rest_hands--;
	if (!list_empty(&c->rest))
		cond_wake_one(&c->wake);
}

/* Enters and leaves with the lock. */
static void serve(struct crew *c, struct gang *g, void *work)
{
	bool may_work = g->hands < g->hands_max, rest = may_work && reserve_rest(c, g);
	enum piece_rank rank = PIECE_NONE;

	g->visitors++;
	g->hands += may_work;
	lock_drop(&c->lock);
	g->look(g);
	if (may_work)
		rank = g->choose(g, rest ? PIECE_REST : PIECE_URGENT, work);
	lock_take(&c->lock);
	if (rest && (rank == PIECE_URGENT || rank == PIECE_NONE)) {
		release_rest(c, g);
		rest = false;
	} else if (may_work && !rest && rank == PIECE_NONE && c->rest_hands >= c->rest_max) {
		queue(c, g, false);
	}
	if (rank != PIECE_NONE) {
		queue(c, g, rank == PIECE_URGENT);
		lock_drop(&c->lock);
		g->perform(g, work);
		lock_take(&c->lock);
		queue(c, g, rank == PIECE_URGENT);
	}
	if (rest)
		release_rest(c, g);
	g->hands -= may_work;
	if (--g->visitors == 0 && g->left)
		cond_wake_all(&c->idle);
}

static void *work_on(void *arg)
{
	struct crew *c = arg;
	cleanup(free_at) void *work = mem_alloc(c->work_size);

	lock_take(&c->lock);
	while (!c->stopping) {
		struct gang *g = next(c);

		if (g)
			serve(c, g, work);
		else
			cond_wait(&c->wake, &c->lock);
	}
	lock_drop(&c->lock);
	return NULL;
}

/* ---- without */

struct crew *crew_new(unsigned threads, size_t work_size)
{
	struct crew *c = mem_new(struct crew);

	lock_init(&c->lock, RANK_CREW);
	cond_init(&c->wake);
	cond_init(&c->idle);
	list_init(&c->urgent);
	list_init(&c->rest);
	c->thread_count = threads;
	c->rest_max = share_of_rest(threads);
	c->work_size = work_size;
	c->threads = mem_array(threads, sizeof(*c->threads));
	for (unsigned i = 0; i < threads; i++)
		thread_start(&c->threads[i], "fetch", work_on, c);
	return c;
}

void crew_free(struct crew *c)
{
	if (!c)
		return;
	lock_take(&c->lock);
	assert(list_empty(&c->urgent) && list_empty(&c->rest));
	c->stopping = true;
	cond_wake_all(&c->wake);
	lock_drop(&c->lock);
	for (unsigned i = 0; i < c->thread_count; i++)
		pthread_join(c->threads[i], NULL);
	free(c->threads);
	cond_release(&c->wake);
	cond_release(&c->idle);
	lock_release(&c->lock);
	free(c);
}

void crew_kick(struct crew *c, struct gang *g, bool urgent)
{
	lock_guard(&c->lock);
	queue(c, g, urgent);
}

bool crew_is_busy(struct crew *c, struct gang *g)
{
	lock_guard(&c->lock);
	return g->queued || g->visitors > 0;
}

void crew_leave(struct crew *c, struct gang *g)
{
	lock_guard(&c->lock);
	g->left = true;
	if (g->queued)
		list_remove(&g->link);
	g->queued = false;
	while (g->visitors > 0)
		cond_wait(&c->idle, &c->lock);
}
