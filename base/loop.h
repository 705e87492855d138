/*
 * An epoll loop on one thread, for doors: many sockets, few threads. Everything of a loop happens
 * on its own thread, except loop_post() and loop_free(), which any other thread may call. EPOLLERR
 * and EPOLLHUP always come, also to a watch that asks for nothing.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/err.h"
#include "base/list.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* One watched descriptor, embedded in its owner. */
struct watch {
	int fd;
	uint32_t events; /* EPOLLIN | EPOLLOUT ...; level-triggered */
	void (*ready)(struct watch *w, uint32_t events);
	void *arg;
};

/* Something for the loop's thread to do, embedded in its owner; queued at most once at a time. */
struct loop_job {
	struct list link; /* list_init() before first use */
	void (*run)(struct loop_job *job);
	void *arg;
};

/* A deadline on this loop (granularity some 10 ms), embedded. Connections use it for idle, header
 * and write time-outs. */
struct loop_timer {
	struct list link; /* list_init() before first use */
	int64_t at_ms;
	void (*fire)(struct loop_timer *t);
	void *arg;
};

/* Starts the thread. */
must_check int loop_new(const char *name, struct loop **out, struct err *e);
/* Stops and joins; watched descriptors are the owners' to close. Pending jobs are run first. */
void loop_free(struct loop *l);

must_check int loop_watch(struct loop *l, struct watch *w, struct err *e);
void loop_rewatch(struct loop *l, struct watch *w, uint32_t events);
/* Safe from inside ready(), also of another watch: no stale event is delivered afterwards. */
void loop_unwatch(struct loop *l, struct watch *w);

/* Any thread. False if job is queued already. run() is called with the job unqueued. */
bool loop_post(struct loop *l, struct loop_job *job);

void loop_timer_arm(struct loop *l, struct loop_timer *t, int64_t delay_ms);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

#endif
