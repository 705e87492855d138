/*
 * Starts of containers: what is known ahead of what an image will need. When the first layer of an
 * image is asked for, all its layers' indexes are fetched, and the record of what a container of it
 * reads first (start_record.h), with the pack of those blocks (start_pack.h); what is not in the
 * pack is fetched by the record before anybody waits for it.
 * Where nobody has a record, the reads of the first seconds make one. It is a task of the cluster,
 * like an index, and as an index it comes from peers only.
 *
 *	an image is	what it means				becomes
 *	ASKING		the cluster is asked for the record	KNOWN, RECORDING
 *	RECORDING	nobody has one, reads are noted		KNOWN, some time after the first
 *read KNOWN		nothing is noted
 *
 * What is in the page cache already nobody reads here: layers that other containers use are in no
 * record that is made meanwhile. Thread-safe.
 */
#ifndef DAEMON_STARTS_H
#define DAEMON_STARTS_H

#include "daemon/layers.h"

struct starts;

struct starts_config {
	struct layers *layers; /* borrowed */
	struct tasks *tasks;   /* borrowed; freed after the starts */
	const char *dir;       /* for what is being written; exists */
	int64_t record_ms;     /* reads are noted for so long after the first, at random up to half
				  as long more; 0 = never */
	uint64_t prefetch_max; /* of one image, uncompressed; 0 = nothing is prefetched or packed */
};

struct starts *starts_new(const struct starts_config *c);
/* What is under way ends soon, once the layers are stopped. NULL is fine. */
void starts_stop(struct starts *s);
/* Before layers_free(). NULL is fine. */
void starts_free(struct starts *s);

/* A layer (64 hex) of this image will be asked for soon. manifest: 64 hex; image as for
 * layers_get(), or NULL. Never blocks. */
void starts_expect(struct starts *s, const char *manifest, const char *image, const char *digest);
/* A reader wants [off, off + len), which is inside the layer's file. Never blocks. */
void starts_note(struct starts *s, const struct layer *l, uint64_t off, uint32_t len);

/* What the id of a record's task is made of; the caller frees. */
char *starts_record_name(const char *manifest);

#endif
