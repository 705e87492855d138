/*
 * The origin: http and https through libcurl. Blocking calls for workers, each with a deadline.
 * Handles are pooled, so connections are kept. No http_proxy is used. Forbidden addresses
 * (net_ip_is_forbidden()) are refused at every connect, so behind redirects and names too.
 *
 * Redirects are followed here (at most 10, never from https to http unless the caller's URL is
 * http); another origin gets the caller's Accept, Accept-Language and User-Agent and nothing else.
 * Retries with back-off on connection errors, bodies that end early, 408, 425, 429 (Retry-After
 * honoured within the deadline), 500, 502, 503, 504; none on 401/403/404. A 401 is answered with
 * this daemon's credentials (registry.h) unless the caller came with an Authorization or a Cookie.
 * inquiry.h has the details. Must not know: tasks, pieces.
 */
#ifndef DAEMON_ORIGIN_H
#define DAEMON_ORIGIN_H

#include "base/config.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct origin;

struct origin_config {
	const char *ca_file; /* extra roots (PEM), NULL = the system's only */
	bool insecure_skip_verify;
	unsigned retries_max;			  /* after the first try */
	uint64_t bandwidth_per_s;		  /* all of this daemon's, 0 = unlimited */
	unsigned concurrent_per_host;		  /* requests at a time, 0 = 32 */
	const struct config_pairs *extra_headers; /* only fill gaps */
	const char *docker_config;  /* credentials file as docker keeps it, NULL = none */
	int64_t connect_timeout_ms; /* 0 = 5 s */
	int64_t stall_timeout_ms;   /* no byte for so long is an error, 0 = 30 s */
};

/* Nothing of c need outlive the call. EINVAL: ca_file holds no certificate, or a malformed header.
 */
must_check int origin_new(const struct origin_config *c, struct origin **out, struct err *e);
void origin_free(struct origin *o);

struct origin_request {
	const char *url;
	const struct config_pairs
		*headers;      /* the caller's, Authorization among them; may be NULL */
	uint64_t off, len;     /* a range; len 0 = the whole */
	int64_t deadline_ms;   /* clock_ms(); 0 = none */
	const bool *cancelled; /* looked at now and then (atomic); may be NULL */
	const char *same_as;   /* an earlier answer's headers (origin_info): one with another ETag
				  or Last-Modified is EPROTO; NULL = any, as for blobs by digest */
	int64_t *held_us; /* origin_get(): what the limit of bandwidth took is added; may be NULL */
};

struct origin_info {
	int64_t content_length; /* of the whole; -1 = the origin does not say */
	bool ranges;		/* ranged GETs work */
	char *headers;		/* "Name: value\n" lines worth replaying: Content-Type, ETag,
				   Last-Modified, Docker-Content-Digest; owned, "" if none */
};
void origin_info_release(struct origin_info *i);

/* Length by a GET with Range: bytes=0-0 (so pre-signed URLs work); 416 or a plain 200 tell an empty
 * file or an origin without ranges. e->code: ENOENT 404/410, EACCES 401/403, EHOSTUNREACH cannot be
 * reached or fails after retries (5xx), EBUSY 429, ETIMEDOUT, EPROTO nonsense, ELOOP redirects,
 * ECANCELED, EINVAL bad URL or header. */
must_check int origin_stat(struct origin *o, const struct origin_request *rq,
			   struct origin_info *out, struct err *e);

/* What stands at a URL, by a GET of its first byte. Any final HTTP status is a success here. */
struct origin_probe {
	int status;
	bool folder; /* redirects led to the same path with '/' at its end */
};
must_check int origin_probe(struct origin *o, const struct origin_request *rq,
			    struct origin_probe *out, struct err *e);

/* Sink of a body: returns 0, or -errno to stop the transfer with *e set. */
typedef int (*origin_sink)(void *arg, const void *data, size_t len, struct err *e);

/* Streams the asked range, exactly rq->len bytes (the whole when 0), in order. Retries restart
 * where the bytes stopped, by a range. A 200 to a ranged request is used if off is 0, else skipped
 * through. A short or overlong body is EPROTO. */
must_check int origin_get(struct origin *o, const struct origin_request *rq, origin_sink sink,
			  void *arg, struct err *e);

/* A whole small body (manifests, tokens) of at most len_max bytes, more is EMSGSIZE. Method: GET or
 * HEAD. status_out and headers_out ("Name: value\n" lines without hop-by-hop ones, owned) may be
 * NULL. Any HTTP status is a success here. off, len and same_as do not matter. */
must_check int origin_fetch(struct origin *o, const struct origin_request *rq, const char *method,
			    size_t len_max, int *status_out, char **headers_out, char **body_out,
			    size_t *body_len_out, struct err *e);

#endif
