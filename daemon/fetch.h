/*
 * Fetching one task: where its missing pieces come from, and when to ask elsewhere.
 *
 *	mode		what it means				who moves it on
 *	IDLE		nothing is wanted			a piece is wanted -> SCHEDULING, or
 *								-> ORIGIN (no scheduler, told to)
 *	SCHEDULING	the scheduler was asked			parents -> PARENTS, "go to the
 *origin", no scheduler, no answer -> ORIGIN, refused -> IDLE (failed)
 *	PARENTS		pieces come from parents		no parent has what is missing: asks
 *								again (at most 5 times), then ->
 *ORIGIN ORIGIN		pieces come from the origin, and	every source failed -> IDLE (failed)
 *			from parents that have them
 *
 *	From all: everything is here and verified, or nothing was wanted for a while -> IDLE.
 *
 * One worker at a time steers (moves the mode, talks to the scheduler, opens and frees parents);
 * callbacks only note what they were told. Others fetch. Must not know: readers, doors, the table.
 */
#ifndef DAEMON_FETCH_H
#define DAEMON_FETCH_H

#include "base/trace.h"
#include "daemon/piece.h"
#include "daemon/source.h"
#include "daemon/store.h"

struct history;
struct host;
struct origin;
struct piece_client;
struct scheduler_client;

struct fetchers; /* what all fetches share: modules, threads, counters */

struct fetchers_config {
	struct origin *origin;
	struct scheduler_client *scheduler; /* NULL = none */
	struct piece_client *piece_client;
	struct host *host;
	unsigned threads, piece_workers; /* of all, of one task; > 0 */
	uint64_t bandwidth_per_s;	 /* from parents; 0 = unlimited */
	unsigned reschedules_max;	 /* in one conversation */
	int64_t stall_ms;		 /* a parent that sends nothing for so long is dropped */
	int64_t silence_ms;		 /* ... from which nothing comes at all is left sooner */
	int64_t second_ms;		 /* no piece is asked for a second time sooner */
	int64_t patience_ms; /* parents that announce nothing for so long, and another second for
				each MiB of a piece: others are asked for */
	int64_t linger_ms;   /* parents and scheduler are kept for so long after the last want */
	int64_t retry_ms;    /* a task that failed is not tried again sooner */
	int64_t mismatch_retry_ms; /* ... whose origin sends wrong bytes */
	int64_t witness_ms;	   /* what needs a witness and finds none in so long is dropped */
	struct history *history;   /* is told of all; NULL = nobody */
};

/* All atomic. */
struct fetch_tally {
	unsigned active;
	uint64_t from_origin, from_peers, pieces_fetched, pieces_failed, digest_failures;
	uint64_t seconds, seconds_used; /* copies that were asked for, that came first */
	uint64_t wasted;		/* bytes that came twice */
	uint64_t seconds_memory;	/* bytes they may need now */
};

struct fetchers *fetchers_new(const struct fetchers_config *c);
void fetchers_free(struct fetchers *all); /* no fetch may be left */
const struct fetch_tally *fetchers_tally(const struct fetchers *all);

struct fetch;

/* Called without locks, on fetch workers, one at a time is not assured; must not block. */
struct fetch_ops {
	void (*ready)(void *arg, uint32_t index); /* a piece is in the store */
	/* ... some of it, to be passed on; or that is over without its being ready */
	void (*coming)(void *arg, uint32_t index, bool comes);
	void (*complete)(void *arg); /* all are, and the whole is verified */
	void (*failed)(void *arg, const struct err *e);
	/* The origin has other content now than what was begun with. May block on disk. */
	void (*stale)(void *arg);
	/* References to the places where the content may be had. */
	size_t (*sources)(void *arg, struct source *out[SOURCES_OF_DIGEST_MAX]);
};

struct fetch_options { /* copied */
	int priority;
	bool need_back_to_source, disable_back_to_source, blob_digest_id;
	const char *const *filtered_params;
	size_t filtered_param_count;
	uint32_t piece_length;	    /* as the request set it, 0 = it did not */
	const char *content_for_id; /* NULL = none */
	/* What comes from peers is believed by the word of a member alone, where members are
	 * authenticated. */
	bool needs_witness;
};

/* st, p and ops are borrowed. */
struct fetch *fetch_new(struct fetchers *all, struct store_task *st, struct pieces *p,
			const struct fetch_options *o, const struct fetch_ops *ops, void *arg);
/* Waits for those who work for it. Nobody may be waiting for a piece. NULL is fine. */
void fetch_free(struct fetch *f);
/* Whose trace a download that begins now is part of; not set or while one is going on: nothing. */
void fetch_asked_by(struct fetch *f, const struct trace_context *who);
/* Of the download that is going on; not set if none is, or tracing is off. */
struct trace_context fetch_trace(struct fetch *f);
/* Something new is wanted of the pieces. */
void fetch_kick(struct fetch *f, bool urgent);
/* Stops fetching for good, quickly; who waits gets ECANCELED. */
void fetch_cancel(struct fetch *f);
/* It is asked for again with need_back_to_source: the scheduler counts on us. */
void fetch_need_origin(struct fetch *f);
/* It is asked for by a name that wants needs_witness. */
void fetch_need_witness(struct fetch *f);
/* Tells the scheduler that a complete task is here (announcer.h does so for what it does not know).
 */
void fetch_announce(struct fetch *f);
/* False: nothing is going on, it may be freed. */
bool fetch_is_active(struct fetch *f);

struct fetch_progress {
	uint64_t from_origin, from_peers;
	unsigned parents;
	bool complete, failed;
	struct err last; /* of failed */
};
void fetch_progress(struct fetch *f, struct fetch_progress *out);
/* It does now, and has more from there than from parents. Cheap. */
bool fetch_reads_origin(struct fetch *f);

#endif
