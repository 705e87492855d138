/*
 * Tasks: one blob or file that this node reads, shares or fetches. At most one struct task per id.
 * A task is opened by what is known of it (an id, a digest, a URL); its length comes from the
 * store, else from the scheduler, else from the origin.
 *
 * task.c owns the life of a task and its talk with the scheduler; piece.c its pieces; fetch.c the
 * workers that fill them. Doors (fs, proxy, rpc) know only this header.
 */
#ifndef DAEMON_TASK_H
#define DAEMON_TASK_H

#include "base/config.h"
#include "base/trace.h"
#include "daemon/piece.h"
#include "daemon/store.h"

#include <string.h>

struct tasks; /* all tasks of this daemon */
struct task;  /* reference-counted */

/* content_for_id of what daemons make themselves (task_import.h) begins so. They believe what has
 * such a name, so a door lets nobody but root of this host name one. */
#define TASK_OWN_NAMES "skimmer/"

static inline bool task_is_own_name(const char *content_for_id)
{
	return strncmp(content_for_id, TASK_OWN_NAMES, sizeof(TASK_OWN_NAMES) - 1) == 0;
}

/* Packs of starts are trusted with nothing (start_pack.h); all else of that kind is believed as it
 * came, and so needs the word of a member where members are authenticated (fetch_witness.c). */
#define TASK_PACK_NAMES TASK_OWN_NAMES "start-pack/"

static inline bool task_needs_witness(const char *content_for_id)
{
	return content_for_id && task_is_own_name(content_for_id) &&
	       strncmp(content_for_id, TASK_PACK_NAMES, sizeof(TASK_PACK_NAMES) - 1) != 0;
}

enum task_priority { TASK_URGENT, TASK_NEAR, TASK_REST };

/* What is asked for. Everything is copied by task_open(). */
struct task_request {
	const char *id;	    /* 64 hex; NULL: computed from the rest (task_id.h) */
	const char *url;    /* NULL: only an id or digest is known */
	const char *digest; /* "sha256:<hex>" of the whole, NULL = unknown. Compared here only when
			       it is the task's id; any other is the asker's to compare */
	const char *tag, *application;
	const struct config_pairs
		*headers; /* for the origin, the caller's Authorization among them */
	const char *const *filtered_params; /* query parameters that do not count for the id */
	size_t filtered_param_count;
	uint32_t piece_length;	     /* 0 = by the rule */
	bool blob_digest_id;	     /* registry blob URLs: the digest is the id */
	const char *content_for_id;  /* overrides the id's computation, NULL = none */
	int priority;		     /* Dragonfly's 0..6 */
	bool need_back_to_source;    /* a seed told to fetch from the origin */
	bool disable_back_to_source; /* never the origin: EHOSTUNREACH when no peer has it */
	bool local_only;	     /* only what is here: ENOENT otherwise; no network */
	bool prefetch;		     /* fetch the whole in the background once opened */
	int64_t timeout_ms;	     /* to resolve; 0 = the configured default */
};

/* An open that waits, embedded in its owner. */
struct task_open {
	/* As waiter.done: once, any thread, no locks, must not block. t is a new reference. ENOENT,
	 * EACCES (401/403), EHOSTUNREACH (origin fails after retries), ETIMEDOUT, EFBIG, EPROTO. */
	void (*done)(struct task_open *o, struct task *t, const struct err *e);
	void *arg;
	/* private */
	struct list link;
	struct timer timer;
	struct tasks *tasks;
	int state;
};

void task_open(struct tasks *ts, const struct task_request *rq, struct task_open *o);
/* True: it was taken back, done() will not be called. False: done() has been or is being called. */
bool task_open_cancel(struct task_open *o);
/* Blocking variant for workers. */
must_check int task_open_wait(struct tasks *ts, const struct task_request *rq, struct task **out,
			      struct err *e);

void task_ref(struct task *t);
void task_unref(struct task *t);

static inline void task_unref_at(struct task **t)
{
	if (*t)
		task_unref(*t);
	*t = NULL;
}

const struct store_meta *task_meta(const struct task *t); /* id, geometry, url, headers, ... */
/* Status and reason of a failed task for user.d7y.error and logs; "" if none. Copies. */
void task_last_error(struct task *t, char *text, size_t size);

/* Bytes [off, off+len) inside one piece: done() now, or when the piece is there, or with ETIMEDOUT
 * after timeout_ms (0 = the configured default), EIO when every source failed, ENOBUFS when too
 * many wait already. Urgent. Reading ahead is the task's own business. */
void task_read(struct task *t, uint64_t off, uint32_t len, struct waiter *w, int64_t timeout_ms);
/* Of the download that is going on; not set if none is, or tracing is off. */
struct trace_context task_trace(struct task *t);
/* As task_open_cancel(). The caller holds the task during the call. */
bool task_read_cancel(struct waiter *w);

/* Whole content in the background. */
void task_want_all(struct task *t, enum task_priority p);

/* Somebody waits for these pieces at a peer: if the task comes from the origin, they come next.
 * What would not be fetched is not fetched for that. */
void task_hurry(struct task *t, const uint32_t *numbers, size_t count);

struct task_progress {
	uint32_t piece_count, ready_count;
	uint64_t bytes_total, bytes_ready;
	uint64_t from_origin,
		from_peers; /* bytes fetched by this daemon since it opened the task */
	unsigned parents;
	bool complete; /* all there and verified as a whole */
	bool failed;
};
void task_progress(struct task *t, struct task_progress *out);
/* It does now, and has more from there than from parents. Cheap. */
bool task_reads_origin(struct task *t);
bool task_piece_ready(struct task *t, uint32_t index);
/* READY, or kept from before an unclean stop and not compared yet. */
bool task_piece_kept(struct task *t, uint32_t index);
/* CRC-32, source, cost of a READY piece; false if it is not. */
bool task_piece_info(struct task *t, uint32_t index, struct store_piece *out);
/* Descriptor of the whole content, only for complete and verified tasks (FUSE passthrough, hard
 * links): -1 otherwise. Borrowed while t is referenced. */
int task_complete_fd(struct task *t);

/* Told of each piece that becomes READY (index), of completion (index = UINT32_MAX, e NULL) and of
 * failure (index = UINT32_MAX, e set); one at a time, in order. After a failure the task may be
 * tried again, and then more may be told. No locks held, must not block. Pieces that are READY
 * before task_watch() returns are not told (or, in a race, once more): ask task_piece_ready() after
 * watching. */
struct task_watch {
	void (*changed)(struct task_watch *w, uint32_t index, const struct err *e);
	/* NULL, or told of each piece of which something is to be had (store_coming_find()), and if
	 * it then does not become READY. */
	void (*coming)(struct task_watch *w, uint32_t index, bool comes);
	void *arg;
	struct list link; /* private */
	bool busy;	  /* private */
};
void task_watch(struct task *t, struct task_watch *w);
/* Afterwards changed() is not running and will not. Not from changed() itself. */
void task_unwatch(struct task *t, struct task_watch *w);

/* Forgets the task here and tells the scheduler. Readers that hold it go on. ENOENT. */
must_check int task_delete(struct tasks *ts, const char *id, struct err *e);

/* Notes that a registry blob is to be had at this place, so that sha256/<hex> finds it later.
 * base "https://registry:5000", repository "library/debian"; authorization NULL = none. Bounded. */
void task_note_source(struct tasks *ts, const char *digest_hex, const char *base,
		      const char *repository, const char *authorization);

#endif
