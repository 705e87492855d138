/* A fixed pool of threads with a bounded queue of jobs. Threads start lazily, up to threads_max,
 * and stay. A job may block. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>

struct pool;

/* name: at most 12 characters, shown in thread lists. */
struct pool *pool_new(const char *name, unsigned threads_max, unsigned queue_len_max);
/* False if the queue is full or the pool is stopping; then job will not run. */
must_check bool pool_run(struct pool *p, void (*job)(void *arg), void *arg);
/* Refuses new jobs, runs what is queued, joins. NULL is fine. */
void pool_free(struct pool *p);

/* A thread of its own with a small stack (256 KiB) and all signals blocked; aborts if it cannot. */
void thread_start(pthread_t *out, const char *name, void *(*main)(void *), void *arg);

#endif
