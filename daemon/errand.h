/*
 * What a client asks the mirror or the proxy for: where the bytes are, the caller's own words to
 * the origin, and how it is wanted (X-Dragonfly-* headers). Sources: Dragonfly's header names
 * (reference of behaviour, section 7), RFC 9110 section 7.6.1 (what belongs to one connection).
 */
#ifndef DAEMON_ERRAND_H
#define DAEMON_ERRAND_H

#include "base/config.h"
#include "base/err.h"
#include "base/http.h"
#include "base/trace.h"

#include <stdbool.h>
#include <stdint.h>

enum errand_kind { ERRAND_OTHER, ERRAND_BLOB, ERRAND_MANIFEST };

struct errand {
	char *method;
	char *url;		     /* absolute; where the bytes are */
	struct config_pairs headers; /* end-to-end, for the origin; no X-Dragonfly-*, no Host */
	int64_t body_length;	     /* as relay_request.body_length */
	const char *rule; /* why it goes the way it goes, for the log; a constant or config text */
	int64_t started_ms;
	/* of a registry's URL */
	enum errand_kind kind;
	char *registry;	  /* "https://host:port" */
	char *repository; /* "library/debian" */
	char hex[65];	  /* of its sha256; "" for a tag */
	/* how it is wanted */
	bool use_p2p, prefetch, blob_digest_id, force_hard_link;
	char *tag, *application, *content_for_id, *output_path;
	int priority;
	uint32_t piece_length; /* 0 = by the rule */
	char **filtered;       /* query parameters that do not count; NULL = Dragonfly's list */
	size_t filtered_count;
	struct span span;   /* of the request, from its head to the end of the answer */
	bool failed_by_p2p; /* relayed because P2P could not */
};

struct errand_defaults {
	bool prefetch, blob_digest_id;
};

/* EINVAL: an X-Dragonfly-* header that means nothing. without: one more header not to pass on (may
 * be NULL). url stays NULL. */
must_check int errand_new(const struct http_head *head, const struct errand_defaults *defaults,
			  const char *without, struct errand **out, struct err *e);
void errand_free(struct errand *x);
/* NULL if absent. */
const char *errand_header(const struct errand *x, const char *name);
/* The pairs that a task may send to the origin: without what asks for a part or a condition.
 * Shallow: free items only. */
struct config_pairs errand_task_headers(const struct errand *x);
/* Query parameters that a rule leaves out of the id, unless the request's own header says which. */
void errand_filter_by(struct errand *x, const struct config_strings *names);
void errand_add_header(struct errand *x, const char *name, const char *value);
/* Without the query, which may be a credential. The caller frees. */
char *errand_print_url(const struct errand *x);

#endif
