/*
 * One question to the origin until it is answered: redirects are followed, failures tried again.
 *
 * Redirects: at most 10, to http and https only, never from https to http unless the caller's own
 * URL was http. What the caller sent goes to the origin (scheme, host and port) of the caller's
 * URL; any other one gets Accept, Accept-Language and User-Agent of it and nothing else, so no
 * credential under any name.
 *
 * Credentials: the caller's are used as they are, and a 401 to them is final. Otherwise registry.h
 * answers a 401 with this daemon's; where the caller's may not go, because the origin is another
 * one, with an anonymous token at most.
 *
 * Tries: connection errors, stalls, bodies that end early, 408, 425, 429, 500, 502, 503, 504; with
 * growing pauses, or Retry-After when that is longer and within the deadline. A try that brought
 * INQUIRY_PROGRESS new bytes does not count against the number of tries.
 *
 * Must not know: ranges, lengths, what the bytes are for.
 */
#ifndef DAEMON_INQUIRY_H
#define DAEMON_INQUIRY_H

#include "daemon/exchange.h"
#include "daemon/registry.h"

#define INQUIRY_PROGRESS (1u << 20)

struct inquiry {
	struct exchange_pool *pool;
	const struct origin_request *rq;
	const struct config_pairs *extra; /* fill gaps in the caller's headers */
	unsigned retries_max;
	struct registry *registry; /* NULL = a 401 is final */
	const char *method;
	const char *form; /* POST: the body; then redirects are errors */
	bool any_status;  /* every final answer is accepted, else 200, 203, 206 and 416 */
	bool conditional; /* the caller's If-None-Match and If-Modified-Since are sent */

	/* Headers of this try, appended to list; may be NULL. */
	struct curl_slist *(*own_headers)(struct inquiry *q, struct curl_slist *list);
	/* The accepted answer: as in exchange.h. on_head comes once per try that gets so far. */
	int (*on_head)(struct inquiry *q, struct exchange *x, struct err *e);
	int (*on_body)(struct inquiry *q, struct exchange *x, const void *data, size_t len,
		       struct err *e);
	/* The answer has ended; negative fails the try, q->retryable says if for good. NULL: fine.
	 */
	int (*on_end)(struct inquiry *q, struct exchange *x, struct err *e);
	void *arg;
	uint64_t progress; /* bytes used so far, counted up by on_body */
	bool drop;	   /* on_head sets it: the body does not matter */

	/* private */
	bool retryable, accepted, may_answer;
	unsigned failures;
	int64_t pause_ms; /* before the next try */
	size_t dropped;
};

must_check int inquiry_run(struct inquiry *q, struct err *e);

#endif
