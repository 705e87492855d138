/*
 * oci/ of the mount: images by name.
 *
 *	oci/<registry>/<repository...>/<tag or sha256:hex>/
 *		index.json	only when the reference names an index
 *		manifest.json	for this machine
 *		config.json	the image's configuration: a blob
 *		layers/NN-<hex>	links into sha256/, the lowest layer is 00
 *
 * A repository has any number of names and so has no visible end: below the first one every name is
 * asked for as a reference of what stands before it. 200 is an image; 404, 401 and 403 make it a
 * further name of a repository, if it can be one. The files' names and "layers" and "rootfs" can
 * not. What a tag names is asked again after a minute; when the registry does not answer then, the
 * last answer stands.
 */
#ifndef DAEMON_OCI_TREE_H
#define DAEMON_OCI_TREE_H

#include "daemon/blobs_private.h"

struct oci_tree *oci_tree_new(struct blobs *b);
void oci_tree_free(struct oci_tree *t);

/* path: "oci/..." */
void oci_tree_lookup(struct blobs *b, const char *path, struct fs_lookup *ask);
/* What is known here: of path "oci" or below. */
void oci_tree_list(struct blobs *b, const char *path, fs_list_fn fn, void *arg);

#endif
