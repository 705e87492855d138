/* What fetch.c (steering) and fetch_work.c (choosing and doing work) share. */
#ifndef DAEMON_FETCH_PRIVATE_H
#define DAEMON_FETCH_PRIVATE_H

#include "base/bucket.h"
#include "base/list.h"
#include "daemon/crew.h"
#include "daemon/fetch.h"
#include "daemon/history.h"
#include "daemon/prefix.h"
#include "daemon/slots.h"
#include "daemon/swarm.h"
#include "daemon/talk.h"
#include "daemon/transfer.h"
#include "daemon/witness.h"

struct fetchers {
	struct fetchers_config c; /* constant */
	struct fetch_tally tally; /* atomic */
	struct bucket bandwidth;  /* of what comes from parents */
	struct crew *crew;
};

enum fetch_mode { IDLE, SCHEDULING, PARENTS, ORIGIN };

#define GIVERS_MAX 16
#define SOONER_MAX 4 /* as many as a parent takes for urgent (herald.h) */

/* A piece on its way from a parent, in the memory of the worker that fetches it. */
struct flight {
	/* constant */
	uint32_t index;
	struct feeder *feeder; /* a reference, counted as in flight there */
	bool second;	       /* a copy, asked for while another parent sends the piece */
	int64_t began_ms;
	/* atomic */
	struct transfer_meter meter;
	bool cancelled;
	/* the fetch's lock */
	struct list link;
	bool doubled;		   /* a second one was begun */
	bool asked;		   /* all parents were asked for it */
	bool over;		   /* no copy is taken any more */
	struct transfer_copy copy; /* that came before; data NULL = none */
	struct feeder *giver;	   /* of the copy, as feeder */
};

/* Who gave pieces, for the log and for blame. */
struct giver {
	char host_id[256];
	struct witness witness;
	uint32_t pieces;
};

struct fetch {
	/* constant */
	struct fetchers *all;
	struct store_task *st;
	struct pieces *pieces;
	const struct store_meta *meta;
	struct fetch_options options;
	char **filtered_params, *content_for_id; /* owned copies of the options' */
	const struct fetch_ops *ops;
	void *arg;
	struct transfer transfer;
	struct gang gang;
	struct timer timer;

	bool cancelled;	       /* atomic */
	bool needs_witness;    /* atomic */
	int64_t progress_ms;   /* atomic: when something last arrived or was announced */
	uint64_t origin_bytes; /* atomic: that the origin sent, in this daemon's time */

	struct lock lock; /* rank 25, for all below and for swarm and talk */
	enum fetch_mode mode;
	struct swarm *swarm;
	struct talk *talk; /* NULL = no scheduler */
	bool steering, steer_again;
	int64_t idle_since_ms; /* nothing wanted since; 0 = something is */
	int64_t due_ms;	       /* when to look again; 0 = never */

	unsigned attempt; /* counts begins */
	struct trace_context asked_by;
	struct span span, schedule_span;
	struct attempt *record; /* of it; NULL = nobody wants to know */

	/* of the conversation */
	unsigned reschedules;
	uint32_t sooner[SOONER_MAX]; /* pieces that all parents were asked for again */
	unsigned sooner_count;
	int64_t sooner_ms; /* when that was; 0 = never */
	int64_t helped_ms; /* when they last had one of those; 0 = never */
	bool asked;	   /* the scheduler owes an answer */
	bool reopened;	   /* a second conversation was begun after the first broke */
	bool untold;	   /* the scheduler went away, no other one knows of us */
	int64_t retell_ms; /* not before */
	bool rejoined;	   /* the next one has not answered yet; our parents are still here */
	bool need_origin;  /* a seed told to fetch from the origin */
	bool announce, announcing;

	/* the origin */
	struct source *candidates[SOURCES_OF_DIGEST_MAX];
	size_t candidate_count, candidate;
	bool probing, streaming;
	unsigned runs;	    /* under way */
	struct slots slots; /* for runs that nobody waits for */
	bool origin_failed; /* all candidates did, while there were parents */
	bool origin_only;   /* parents' bytes turned out wrong */

	/* pieces from parents */
	struct list flights;
	bool full;		 /* as they were told last */
	int64_t full_ms;	 /* when that was; 0 = never */
	unsigned seconds;	 /* copies among them */
	uint64_t wasted;	 /* bytes of this attempt that came twice */
	int64_t second_asked_ms; /* when parents were last asked for a piece because of that */

	/* success and failure */
	unsigned transfers; /* workers that prove, fetch or probe */
	bool verifying, verified, told_complete;
	struct prefix *prefix; /* hashed by one worker at a time; NULL = there is no digest */
	bool hashing;
	unsigned mismatches;
	int64_t verify_after_ms, disk_after_ms; /* not sooner */
	int64_t unwitnessed_since_ms; /* nobody could vouch for the whole; 0 = nobody was asked */
	bool disk_full;
	struct err failing;  /* code != 0: the steering worker ends the attempt */
	bool failing_softly; /* ... and begins anew, from the origin */
	struct err failed;   /* why the last attempt ended; code 0 = it did not fail */
	int64_t retry_ms;    /* not before */

	/* counted since the fetch was made, and since the attempt began */
	uint64_t from_origin, from_peers, began_from_origin, began_from_peers;
	int64_t began_ms;
	struct giver givers[GIVERS_MAX];
	unsigned giver_count;
};

/* ---- fetch.c */

/* The attempt cannot go on; with the lock. The first reason counts, none if there is no attempt. */
void fetch_fail(struct fetch *f, const struct err *e);

/* ---- fetch_patience.c; with the lock */

/* How long parents may keep a reader waiting for a piece that none of them has announced. */
int64_t fetch_patience_ms(const struct fetch *f);
/* True: all parents are to be asked for the pieces in f->sooner now. *due_ms_out: when to look
 * again, 0 = when something happens. */
bool fetch_ask_sooner(struct fetch *f, const struct pieces_need *need, int64_t *due_ms_out);

/* ---- fetch_trace.c; the first three with the lock */

void fetch_trace_begin(struct fetch *f);
void fetch_trace_answer(struct fetch *f, const struct talk_news *news);
void fetch_trace_end(struct fetch *f, const char *why); /* why NULL: it went well */
/* A transfer's span, which t is told of too. */
void fetch_trace_transfer(struct fetch *f, struct transfer *t, const char *name, struct span *span);
void fetch_trace_transferred(struct span *span, enum transfer_fault fault, const struct err *e);

/* ---- fetch_witness.c; without the lock */

/* Whether the whole that is here may be believed. sha256_hex: what it is, NULL = not known.
 * EBADMSG: no, it is dropped from the store; EHOSTUNREACH: nobody can tell yet. Blocks on the
 * network. */
must_check int fetch_witnessed(struct fetch *f, const char *sha256_hex, struct err *e);

enum work_kind { PROVE, FROM_PARENT, SECOND, FROM_ORIGIN, STREAM, PROBE, HASH, VERIFY };

struct work {
	enum work_kind kind;
	unsigned attempt;
	struct piece_job job;
	uint32_t count;	      /* FROM_ORIGIN: pieces of the run */
	struct flight flight; /* FROM_PARENT, SECOND */
	struct net_addr addr;
	bool by_blocks;	       /* FROM_PARENT: it may be asked so */
	struct source *source; /* FROM_ORIGIN, STREAM; a reference */
};

/* Who gives, for transfer's calls. */
struct delivery {
	struct fetch *f;
	const struct feeder *feeder; /* NULL = the origin */
	struct flight *flight;	     /* NULL = likewise */
};

/* ---- fetch_second.c: pieces that are asked for twice; with the lock, but where it says not */

/* The piece of w->job is fetched from this parent now. */
void flight_begin(struct fetch *f, struct work *w, struct feeder *feeder);
/* Lets go of its parents. */
void flight_end(struct fetch *f, struct flight *fl);
/* All of them, or those from one parent, or of one piece. */
void flights_cancel(struct fetch *f, const struct feeder *feeder, const uint32_t *index);
/* transfer's beaten(); without the lock. */
bool flight_settle(void *delivery, bool whole, struct transfer_copy *out);
/* A piece to be asked for a second time now. */
bool fetch_choose_second(struct fetch *f, enum piece_rank least, struct work *w);
/* When to look for one again; 0 = when something happens. */
int64_t fetch_second_due_ms(struct fetch *f);
/* A piece that is due and that no other parent has told of; each is given once. */
bool fetch_second_unknown(struct fetch *f, uint32_t *index_out);
/* A parent that is silent on all its connections while others have pieces; *index_out is one that
 * it owes. A reference as of swarm_take(), for fetch_leave(). */
struct feeder *fetch_find_silent(struct fetch *f, uint32_t *index_out);
/* Nothing more is asked of it, and what it owes is asked for elsewhere. If it passes on only what
 * itself does not get, this goes for that piece alone. Without the lock. */
void fetch_leave(struct fetch *f, uint32_t index, struct feeder *feeder);
/* Does it; without the lock. */
void fetch_second(struct fetch *f, struct work *w);
/* The first parent of a piece was late; without the lock. */
void fetch_beaten(struct fetch *f, const struct flight *fl);

/* ---- fetch_work.c: for fetch_second.c, without the lock */

struct transfer fetch_transfer(struct fetch *f, struct delivery *d);
void fetch_parent_failed(struct fetch *f, struct feeder *feeder, uint32_t index,
			 enum transfer_fault fault, int64_t lost_us, const struct err *e);
/* Our own disk: too many volatile pieces mean a pause, anything else the end of the attempt. */
void fetch_store_failed(struct fetch *f, const struct err *e);

/* ---- fetch_work.c: a gang's choose() and perform() */

extern const size_t fetch_work_size;
enum piece_rank fetch_choose(struct gang *g, enum piece_rank least, void *work);
void fetch_perform(struct gang *g, void *work);

#endif
