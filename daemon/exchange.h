/*
 * One HTTP request and its answer, blocking: no redirects, no second try. The pool keeps curl
 * handles with their connections, holds the limit of requests per host and that of bandwidth.
 *
 * Must not know: what the answer means.
 */
#ifndef DAEMON_EXCHANGE_H
#define DAEMON_EXCHANGE_H

#include "base/url.h"
#include "daemon/answer.h"
#include "daemon/origin.h"

#include <curl/curl.h>

struct exchange_pool;

/* Connections, limits and trust by c, which need not outlive the call. */
must_check int exchange_pool_new(const struct origin_config *c, struct exchange_pool **out,
				 struct err *e);
/* No exchange may be running. NULL is fine. */
void exchange_pool_free(struct exchange_pool *p);

struct exchange {
	/* The question. All borrowed. */
	const char *method; /* "GET", "HEAD" or "POST" */
	const char *form;   /* POST: the body, application/x-www-form-urlencoded */
	const struct url *url;
	struct curl_slist *headers;
	int64_t deadline_ms;   /* 0 = none */
	const bool *cancelled; /* may be NULL */
	int64_t *held_us;      /* what the limit of bandwidth took is added; may be NULL */
	/* Called once, when the head is whole and before any byte of the body. Negative ends the
	 * exchange with *e. */
	int (*on_head)(struct exchange *x, struct err *e);
	int (*on_body)(struct exchange *x, const void *data, size_t len, struct err *e);
	void *arg;
	/* The callbacks set it when they need no more of the body: the exchange ends well. */
	bool enough;

	/* The answer. */
	struct answer answer; /* exchange_release() */
	/* After a failure: trying again may help. */
	bool retryable;
};

/* 0: the answer is whole, or enough of it. Errors: those of transport_error() and of the
 * callbacks, ECANCELED, ETIMEDOUT (deadline, or no byte for the stall time: retryable). */
must_check int exchange_run(struct exchange_pool *p, struct exchange *x, struct err *e);
void exchange_release(struct exchange *x);

/* Waits; ECANCELED or ETIMEDOUT if that comes first (at once when the deadline is nearer than ms).
 */
must_check int exchange_wait(int64_t ms, int64_t deadline_ms, const bool *cancelled, struct err *e);
/* "GET https://host/path": for errors and logs. Without the query: it may be a signature. */
void exchange_print(const struct exchange *x, char *text, size_t size);

#endif
