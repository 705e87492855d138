/* Mutexes that check their order in debug builds (a thread-local stack of held ranks). */
#include "base/lock.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#define HELD_MAX    8
#define FAKE_NAP_MS 2

static _Thread_local int held[HELD_MAX];
static _Thread_local int held_count;

void lock_init(struct lock *l, int rank)
{
	pthread_mutex_init(&l->mutex, NULL);
	l->rank = rank;
}

void lock_release(struct lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

void lock_take(struct lock *l)
{
	assert(held_count < HELD_MAX);
	assert(held_count == 0 || held[held_count - 1] < l->rank);
	pthread_mutex_lock(&l->mutex);
	held[held_count++] = l->rank;
}

void lock_drop(struct lock *l)
{
	int at = held_count - 1;

	/* Locks are mostly dropped last taken first, but need not be. */
	while (at >= 0 && held[at] != l->rank)
		at--;
	assert(at >= 0);
	for (; at < held_count - 1; at++)
		held[at] = held[at + 1];
	held_count--;
	pthread_mutex_unlock(&l->mutex);
}

void cond_init(struct cond *c)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->cond, &attr);
	pthread_condattr_destroy(&attr);
}

void cond_release(struct cond *c)
{
	pthread_cond_destroy(&c->cond);
}

void cond_wait(struct cond *c, struct lock *l)
{
	pthread_cond_wait(&c->cond, &l->mutex);
}

static bool wait_until_real(struct cond *c, struct lock *l, int64_t deadline_ms)
{
	struct timespec ts = {.tv_sec = deadline_ms / 1000,
			      .tv_nsec = (deadline_ms % 1000) * 1000000};

	return pthread_cond_timedwait(&c->cond, &l->mutex, &ts) != ETIMEDOUT;
}

bool cond_wait_until(struct cond *c, struct lock *l, int64_t deadline_ms)
{
	struct timespec ts;

	if (deadline_ms == 0) {
		cond_wait(c, l);
		return true;
	}
	if (!clock_is_fake())
		return wait_until_real(c, l, deadline_ms);
	/* A test moves the clock without a word to us: sleep a little, look again. */
	if (clock_ms() >= deadline_ms)
		return false;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	wait_until_real(c, l, (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + FAKE_NAP_MS);
	return clock_ms() < deadline_ms;
}

void cond_wake_one(struct cond *c)
{
	pthread_cond_signal(&c->cond);
}

void cond_wake_all(struct cond *c)
{
	pthread_cond_broadcast(&c->cond);
}
