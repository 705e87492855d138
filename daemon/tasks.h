/*
 * All tasks of this daemon: the table by id, who opened what, what may be forgotten. Made by main
 * from the modules that tasks need; doors know only task.h.
 */
#ifndef DAEMON_TASKS_H
#define DAEMON_TASKS_H

#include "daemon/task.h"

struct history;
struct host;
struct origin;
struct piece_client;
struct scheduler_client;

/* A repository that is asked for blobs of which only the digest is known. */
struct tasks_source {
	const char *base;	   /* "https://registry:5000" */
	const char *repository;	   /* "library/debian" */
	const char *authorization; /* NULL = none */
};

/* Everything is borrowed for the life of the tasks, texts are copied. 0 means the default. */
struct tasks_config {
	struct store *store;
	struct origin *origin;
	struct scheduler_client *scheduler; /* NULL = none: every miss goes to the origin */
	struct piece_client *piece_client;
	struct host *host;
	const struct tasks_source *sources; /* tried in turn, after those noted */
	size_t source_count;
	const char
		*tmp_dir; /* on the store's disk; for content of unknown length; NULL = /var/tmp */
	uint64_t unknown_length_max; /* such content may be as long as this; 16 GiB */
	unsigned piece_workers;	     /* pieces of one task at a time (concurrentPieceCount); 8 */
	unsigned fetch_threads;	     /* of all tasks together; 4 * piece_workers, at least 16 */
	uint64_t bandwidth_per_s;    /* from parents; unlimited */
	unsigned reschedules_max;    /* times that one download asks for other parents; 5 */
	unsigned resolve_threads;    /* opens that ask scheduler or origin at a time; 16 */
	unsigned idle_max;	     /* tasks kept open that nobody holds; 512 */
	int64_t idle_ms;	     /* ... for so long; 60 s */
	int64_t open_timeout_ms;     /* 30 s */
	int64_t read_timeout_ms;     /* 60 s */
	int64_t piece_stall_ms;	     /* a parent that sends nothing for so long is dropped; 5 s */
	int64_t silence_ms;	     /* ... sooner if others have pieces; 0 = 2 s */
	int64_t second_ms;	     /* no piece is asked for a second time sooner; 0 = 250 ms */
	int64_t patience_ms; /* parents that announce nothing for so long, and another second for
				each MiB of a piece, 30 s at most: others are asked for; 5 s */
	int64_t linger_ms;   /* parents are kept for so long after the last want; 10 s */
	int64_t retry_ms;    /* a task that failed is not tried again sooner; 1 s */
	int64_t witness_ms;  /* what no member vouches for in so long is dropped; 0 = 10 s */
	struct history *history; /* is told of downloads; NULL = nobody */
};

struct tasks *tasks_new(const struct tasks_config *c);
/* Fails what waits with ECANCELED, stops fetching, joins. Nobody may hold a task afterwards. NULL
 * is fine. */
void tasks_free(struct tasks *ts);

struct tasks_stat {
	unsigned tasks;				/* in the table */
	unsigned active;			/* being fetched */
	unsigned waiters;			/* reads that wait for a piece */
	unsigned opens;				/* opens that wait */
	uint64_t from_origin, from_peers;	/* bytes fetched and kept */
	uint64_t pieces_fetched, pieces_failed; /* failed: tries, of a parent or of the origin */
	uint64_t digest_failures;	/* pieces or wholes that were not what they should be */
	uint64_t seconds, seconds_used; /* pieces that were asked for twice; that came so first */
	uint64_t wasted;		/* bytes that came twice */
	uint64_t hits, misses;		/* reads answered at once, reads that waited */
};
void tasks_stat(struct tasks *ts, struct tasks_stat *out);

/* From now on fn is told of each task that comes into the table: on any thread, no locks, must not
 * block; t is held during the call. NULL = nobody, and then fn is not running any
 * more. */
void tasks_on_opened(struct tasks *ts, void (*fn)(struct task *t, void *arg), void *arg);

/* Calls fn for each task that is here, complete or not; no lock held. */
void tasks_each(struct tasks *ts,
		void (*fn)(const struct store_meta *m, uint32_t present, void *arg), void *arg);

#endif
