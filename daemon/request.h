/* What was asked of task_open(), checked, completed and copied. */
#ifndef DAEMON_REQUEST_H
#define DAEMON_REQUEST_H

#include "base/trace.h"
#include "daemon/source.h"
#include "daemon/task.h"

struct request {
	char id[STORE_ID_LEN + 1];
	char *url;    /* NULL = none; with all that the origin needs */
	char *origin; /* the same as it may be kept and shown: without what does not count */
	char *digest; /* "sha256:<hex>" of the whole, NULL = unknown */
	char *tag, *application, *content_for_id;
	char **filtered_params;
	size_t filtered_param_count;
	struct source *source; /* url with its headers; NULL without url */
	uint32_t piece_length; /* 0 = by the rule */
	int priority;
	bool blob_digest_id, need_back_to_source, disable_back_to_source, local_only, prefetch;
	struct trace_context trace; /* of who asked first */
	uint64_t fingerprint;	    /* equal for requests that resolve alike */
};

/* EINVAL: no id can be made, the id or digest is malformed, a piece length is out of bounds. */
must_check int request_new(const struct task_request *rq, struct request **out, struct err *e);
void request_free(struct request *r);
void request_free_at(struct request **r);

#endif
