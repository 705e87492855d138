/*
 * Something that is woken from any thread and then runs on a pool, one run at a time: what came
 * while it ran is seen by the next run. Embedded in its owner, reference-counted; a queued or
 * running actor holds a reference of its own.
 */
#ifndef DAEMON_ACTOR_H
#define DAEMON_ACTOR_H

#include "base/pool.h"

#include <stdatomic.h>

struct actor {
	/* the owner sets these three; the pool's queue must have room for every actor at once */
	struct pool *pool;
	void (*run)(struct actor *a);  /* on the pool, without locks */
	void (*free)(struct actor *a); /* the last reference is gone */
	/* private */
	atomic_int refs, state;
};

/* One reference, the caller's. */
void actor_init(struct actor *a);
void actor_ref(struct actor *a);
void actor_unref(struct actor *a);
/* Any thread that holds a reference; never blocks. A run begins after this call began. */
void actor_wake(struct actor *a);

#endif
