/*
 * An image as a registry tells it: manifests fetched and checked against their digests. Constant
 * once made; shared by count.
 */
#ifndef DAEMON_IMAGE_H
#define DAEMON_IMAGE_H

#include "base/manifest.h"

#include <stdbool.h>

struct origin;
struct tasks;

struct image {
	unsigned refs; /* atomic */
	char *index;   /* the body, if the reference names an index; else NULL */
	size_t index_len;
	char *manifest; /* the body for this machine; NULL: the index has none */
	size_t manifest_len;
	struct manifest parsed; /* of manifest */
	int64_t made_wall_ms;
};

struct image_request {
	const char *base;	/* "https://registry:5000" */
	const char *repository; /* "library/debian" */
	const char *reference;	/* a tag, or "sha256:<hex>" */
	int64_t deadline_ms;
	const bool *cancelled; /* as origin.h */
};

/* Asks the registry; blocks. What the manifest names is noted in tasks (task_note_source). ENOENT
 * 404, EACCES 401 and 403, EPROTO nonsense or a digest that does not fit; others as origin.h. */
must_check int image_fetch(struct origin *o, struct tasks *ts, const struct image_request *rq,
			   struct image **out, struct err *e);
struct image *image_ref(struct image *i);
void image_unref(struct image *i); /* NULL is fine */
size_t image_bytes(const struct image *i);

#endif
