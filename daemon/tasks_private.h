/* What the files of the task floor share: tasks.c (the table), task.c (one task), task_open.c
 * (opens that wait), resolve.c (finding out what a task is). */
#ifndef DAEMON_TASKS_PRIVATE_H
#define DAEMON_TASKS_PRIVATE_H

#include "base/lock.h"
#include "base/map.h"
#include "base/pool.h"
#include "daemon/fetch.h"
#include "daemon/request.h"
#include "daemon/source.h"
#include "daemon/tasks.h"

#define RANK_TASKS 10
#define RANK_TASK  20

struct tasks {
	/* constant */
	struct store *store;
	struct origin *origin;
	struct scheduler_client *scheduler;
	char *tmp_dir;
	uint64_t unknown_length_max;
	unsigned idle_max;
	int64_t idle_ms, tick_ms, open_timeout_ms, read_timeout_ms;
	struct fetchers *fetchers;
	struct sources *sources;
	struct pool *local;   /* looks into the store, keeps house; never waits for the network */
	struct pool *network; /* asks scheduler and origin */
	struct timer tick;

	struct piece_tally tally; /* atomic */
	bool stopping;		  /* atomic */

	struct lock lock;  /* rank 10, for all below */
	struct map *table; /* id -> struct task */
	struct list all;   /* every task, those that left the table too */
	struct list idle;  /* those that nobody holds, longest first */
	unsigned idle_count;
	struct map *openings; /* "<id> <fingerprint>" -> struct opening */
	struct list opening_list;
	unsigned open_count; /* opens that wait */
	struct map *making;  /* ids that somebody looks for in the cluster or at the origin */
	void (*opened)(struct task *t, void *arg); /* tasks_on_opened() */
	void *opened_arg;
	unsigned telling; /* calls of opened that have not returned */
	struct cond made; /* one of them is done, or of telling */
};

/* An event for watchers. */
struct task_event {
	uint32_t index;
	enum { EVENT_CHANGED, EVENT_COMING, EVENT_LOST } kind;
	struct err *e; /* owned, NULL = none */
	struct list link;
};

struct task {
	struct tasks *all;     /* constant */
	struct store_task *st; /* constant; a reference */
	struct pieces *pieces; /* constant */
	struct fetch *fetch;   /* constant */
	unsigned refs;	       /* atomic; 0 only with tasks.lock */
	bool gone;	       /* tasks.lock: not in the table */
	int64_t idle_since_ms; /* tasks.lock */
	struct list idle_link; /* tasks.lock */
	struct list all_link;  /* tasks.lock */

	struct lock lock;      /* rank 20, for all below */
	struct source *source; /* where callers said it is; NULL = nobody did */
	struct err last;
	struct list watchers, events;
	bool telling;		/* somebody hands out events */
	struct list *tell_next; /* the watcher that is told next */
	struct cond told;	/* a watcher's changed() has returned */
};

/* ---- task.c */

/* Without reference; not in the table yet. Takes st over. */
struct task *task_new(struct tasks *ts, struct store_task *st, const struct request *rq);
/* Nobody holds it. May block. */
void task_free(struct task *t);
/* What another open brings: a source, the wish for all of it, a seed's order. */
void task_apply(struct task *t, const struct request *rq);
void task_cancel(struct task *t, const struct err *e);

/* ---- tasks.c */

/* Out of the table and of the store; those who hold it go on. */
void tasks_forget(struct tasks *ts, struct task *t);

/* t came into the table. */
void tasks_tell_opened(struct tasks *ts, struct task *t);

/* These with tasks.lock: */

/* A new reference, NULL if it is not in the table. */
struct task *tasks_find(struct tasks *ts, const char *id);
void tasks_hold(struct tasks *ts, struct task *t);
void tasks_insert(struct tasks *ts, struct task *t);

/* ---- task_open.c */

/* Forgets failures that are old; frees all once nothing waits. */
void openings_expire(struct tasks *ts, bool all);
void openings_cancel(struct tasks *ts, const struct err *e);

#endif
