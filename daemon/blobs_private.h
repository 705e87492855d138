/* What the files behind the mount share: blobs.c (the roots), blob.c (a file), blob_lookup.c (a
 * lookup that waits), http_tree.c, oci_tree.c. */
#ifndef DAEMON_BLOBS_PRIVATE_H
#define DAEMON_BLOBS_PRIVATE_H

#include "base/pool.h"
#include "daemon/blobs.h"
#include "daemon/pending.h"

#define RANK_BLOBS 9 /* the leaves: pendings, http_tree, oci_tree, one blob */

struct http_tree;
struct oci_tree;

struct blobs {
	/* constant */
	struct tasks *tasks;
	struct origin *origin;
	struct config_strings allow_hosts, plain_http;
	bool prefetch;
	int64_t timeout_ms;
	struct pool *pool; /* asks origins and registries what names are */
	struct http_tree *http;
	struct oci_tree *oci;

	struct pendings pendings;
};

#endif
