/*
 * What is remembered of the last downloads and requests, for "dfctl explain": who was offered as a
 * parent, who gave which bytes, and where the time went. Sums only, nothing per piece; a ring of
 * each kind, so memory is bounded (some 4 KiB a download, 1 KiB a request).
 *
 * Thread-safe; a leaf: nothing is called under its lock. Functions of an attempt do nothing when it
 * is NULL, so that those who tell need not ask whether somebody listens.
 */
#ifndef DAEMON_HISTORY_H
#define DAEMON_HISTORY_H

#include "daemon/parent.h"
#include "daemon/store.h"

#include <skimmer_v1.pb-c.h>

struct history;
struct attempt; /* one try to fetch what is missing of a task */

struct history *history_new(unsigned attempts_max, unsigned requests_max); /* 0 = 128, 256 */
/* No attempt may be open. NULL is fine. */
void history_free(struct history *h);
/* Fills the lists of r, what fits best first; to be given back by history_release(). */
void history_find(struct history *h, const Skimmer__V1__ExplainRequest *rq,
		  Skimmer__V1__ExplainResponse *r);
void history_release(Skimmer__V1__ExplainResponse *r);

/* ---- downloads */

/* h NULL gives NULL. here: pieces that are there already. busy: transfers still under way. */
struct attempt *attempt_begin(struct history *h, const struct store_meta *m, uint32_t here,
			      unsigned busy);
/* The scheduler at addr has answered. */
void attempt_scheduled(struct attempt *a, const char *addr);
void attempt_offered(struct attempt *a, const struct parent_info *parents, size_t count);
void attempt_rescheduled(struct attempt *a);
void attempt_to_origin(struct attempt *a, const char *why);
/* A transfer begins (+1) or ends (-1). */
void attempt_busy(struct attempt *a, int change);

struct piece_times {	  /* microseconds */
	int64_t wait;	  /* for the first byte */
	int64_t transfer; /* from there to the last, write and held among it */
	int64_t write, held, verify;
};

/* from NULL: the origin. tx_max: bytes per second that it can send; 0 = unknown. */
void attempt_piece(struct attempt *a, const struct parent_info *from, uint64_t tx_max,
		   uint32_t length, const struct piece_times *t);
/* A try that was for nothing, and how long it took. */
void attempt_lost(struct attempt *a, const struct parent_info *from, bool corrupt, int64_t us,
		  const char *why);
/* The origin was asked what it has. */
void attempt_probed(struct attempt *a, int64_t us);
void attempt_disk_full(struct attempt *a);
void attempt_verified(struct attempt *a, int64_t us);
/* All is here; later calls do not change when that was. */
void attempt_done(struct attempt *a);
/* It is over: failure NULL and not done: nobody wanted more. Takes *a and leaves NULL there. */
void attempt_end(struct attempt **a, const char *failure);

/* ---- requests */

struct history_request { /* all copied; NULL = "" */
	const char *method, *url, *way, *rule, *task_id, *why;
	int status;
	uint64_t bytes;
	int64_t total_ms;
};
/* h NULL does nothing. */
void history_request(struct history *h, const struct history_request *rq);

#endif
