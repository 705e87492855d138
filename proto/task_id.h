/* Task ids as Dragonfly makes them (v2). Source: reference of identifiers, test vectors in
 * test/unit/proto/task_id_test.c. */
#ifndef PROTO_TASK_ID_H
#define PROTO_TASK_ID_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct task_id_input {
	const char *url; /* absolute */
	const char *tag, *application, *revision;
	uint64_t piece_length; /* 0 = not set */
	const char *const *filtered_params;
	size_t filtered_param_count;
	const char *content_for_id; /* beats everything */
	bool blob_digest_id;	    /* beats the URL for .../v2/<repo>/blobs/sha256:<hex> */
};

/* 64 lower-case hex. EINVAL for a URL that cannot be parsed. */
must_check int task_id_make(const struct task_id_input *in, char id_out[65], struct err *e);
/* <scheme>://<host>/v2/<repository>/blobs/sha256:<hex>[?query]: true, and where the hex starts. */
bool task_id_blob_url(const char *url, const char **hex_out);
/* Dragonfly's default list of query parameters that do not count. */
extern const char *const task_id_default_filter[];
extern const size_t task_id_default_filter_count;

#endif
