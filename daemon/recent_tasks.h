/*
 * Tasks that were asked for in the last second, held open: nobody else may hold them, and opening
 * and closing one for each piece would cost more than a small piece.
 *
 * Of one loop, its thread's alone. Must not know: who asks.
 */
#ifndef DAEMON_RECENT_TASKS_H
#define DAEMON_RECENT_TASKS_H

#include "base/loop.h"
#include "daemon/store.h"

#define RECENT_TASKS_MAX 8

/* Embedded in its owner; fields are private. */
struct recent_tasks {
	struct store *store;
	struct loop *loop;
	struct store_task *tasks[RECENT_TASKS_MAX];
	unsigned count;
	struct loop_timer timer;
};

/* Both are borrowed. */
void recent_tasks_init(struct recent_tasks *r, struct store *store, struct loop *loop);
/* A new reference, or NULL: there is no such task. */
struct store_task *recent_tasks_find(struct recent_tasks *r, const char *id);
/* Holds none any more. On the loop's thread, or when that is gone; zeroed is fine. */
void recent_tasks_forget(struct recent_tasks *r);

#endif
