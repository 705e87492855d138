/*
 * What the mount shows: struct fs_source_ops over tasks.
 *
 *	sha256/<64 hex>				blob_*; lists what is here
 *	http/<host[:port]>/..., https/...	http_tree.h
 *	oci/<registry>/<repository>/<ref>/...	oci_tree.h
 *
 * docs/reference/mount.md is its manual.
 */
#ifndef DAEMON_BLOBS_H
#define DAEMON_BLOBS_H

#include "base/config.h"
#include "fs/source.h"

struct blobs;
struct origin;
struct tasks;

struct blobs_config {
	struct tasks *tasks; /* borrowed, as is origin */
	struct origin *origin;
	const struct config_strings *allow_hosts; /* as reach.h; NULL = all */
	const struct config_strings *plain_http;  /* as registry_base.h; NULL = none */
	bool prefetch;	    /* the first read of a blob fetches all of it in the background */
	int64_t timeout_ms; /* of one question to an origin or a registry; 0 = 30 s */
};

struct blobs *blobs_new(const struct blobs_config *c);
/* Before tasks_free() and after fs_session_free(): every question must have been answered or
 * cancelled. Waits for what is under way. NULL is fine. */
void blobs_free(struct blobs *b);

/* With the struct blobs as src. */
extern const struct fs_source_ops blobs_ops;

#endif
