/*
 * Mutexes with ranks. A thread may only take a lock whose rank is greater than that of every lock
 * it holds; debug builds assert it. The ranks are listed in docs/ARCHITECTURE.md. Under a lock: no
 * I/O, no callback, no log.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include "base/cleanup.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct lock {
	pthread_mutex_t mutex;
	int rank;
};

struct cond {
	pthread_cond_t cond; /* monotonic clock */
};

void lock_init(struct lock *l, int rank);
void lock_release(struct lock *l);
void lock_take(struct lock *l);
void lock_drop(struct lock *l);

void cond_init(struct cond *c);
void cond_release(struct cond *c);
void cond_wait(struct cond *c, struct lock *l);
/* False when deadline_ms (clock_ms(); 0 = none) has passed. */
bool cond_wait_until(struct cond *c, struct lock *l, int64_t deadline_ms);
void cond_wake_one(struct cond *c);
void cond_wake_all(struct cond *c);

static inline void lock_drop_at(struct lock **l)
{
	if (*l)
		lock_drop(*l);
}

static inline struct lock *lock_take_and_return(struct lock *l)
{
	lock_take(l);
	return l;
}

/* Holds l until the end of the block. */
#define lock_guard_name2(line) lock_guard_##line
#define lock_guard_name(line)  lock_guard_name2(line)
#define lock_guard(l)                                                                              \
	struct lock *lock_guard_name(__LINE__) cleanup(lock_drop_at) __attribute__((unused)) =     \
		lock_take_and_return(l)

#endif
