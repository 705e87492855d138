/*
 * Requests passed on to an origin as they are (manifests, uploads, what no rule sends through P2P),
 * answers streamed back with back-pressure. One thread with curl's multi interface; nothing blocks.
 * Redirects, 401 and all other answers go to the client unchanged; interim answers (1xx) do not.
 * HTTP/1.1, up to 4096 calls at a time. The origin's bandwidth limit does not count here.
 */
#ifndef DAEMON_RELAY_H
#define DAEMON_RELAY_H

#include "base/err.h"
#include "daemon/origin.h"

struct relay;
struct relay_call;

struct relay_ops {
	/* Once: status line and headers as "Name: value\n" lines; hop-by-hop headers removed,
	 * Content-Length and Content-Encoding kept. Relay's thread; must not block. */
	void (*head)(struct relay_call *c, int status, const char *headers, void *arg);
	/* Body bytes. False: not now (nothing was taken); comes again after relay_resume(). */
	bool (*data)(struct relay_call *c, const void *data, size_t len, void *arg);
	/* Asks for request body bytes: > 0 given, 0 end, -1 not now (relay_resume() later). NULL if
	 * the request has no body. */
	ssize_t (*body)(struct relay_call *c, void *out, size_t size, void *arg);
	/* Last. e NULL = whole. After it the call is gone. Errors: those of origin_get() for the
	 * connection, ETIMEDOUT no head or no byte in time, EPROTO cut or malformed, EINVAL a
	 * request that cannot be sent, EBUSY too many calls, ECANCELED. */
	void (*done)(struct relay_call *c, const struct err *e, void *arg);
};

struct relay_request {
	const char *method, *url;
	const struct config_pairs *headers; /* hop-by-hop ones already removed */
	int64_t body_length;		    /* 0 none, -1 chunked, else bytes */
	/* clock_ms() to the head of the answer; 0 = 60 s from now. Each byte of the request's body
	 * moves it on, and it does not run while the client holds the call back. */
	int64_t deadline_ms;
};

/* Shares TLS and CA settings with the origin. */
must_check int relay_new(const struct origin_config *c, struct relay **out, struct err *e);
void relay_free(struct relay *r);
struct relay_call *relay_start(struct relay *r, const struct relay_request *rq,
			       const struct relay_ops *ops, void *arg);
void relay_resume(struct relay_call *c); /* any thread, before done() */
/* done() comes (ECANCELED) unless it has; any thread, before done() has been called. */
void relay_cancel(struct relay_call *c);

#endif
