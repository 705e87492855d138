/*
 * Image manifests and indexes: what the mount needs of them. Source: OCI image-spec v1.1
 * (manifest.md, image-index.md), Docker's image manifest version 2, schema 2 and manifest lists.
 * Digests other than sha256 are refused.
 */
#ifndef BASE_MANIFEST_H
#define BASE_MANIFEST_H

#include "base/digest.h"

#include <stddef.h>

#define MANIFEST_BYTES_MAX (4u << 20)
#define MANIFEST_ITEMS_MAX 1000 /* layers, or an index's manifests */

/* What is asked of a registry: everything that is understood here. */
#define MANIFEST_ACCEPT                                                                            \
	"application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "    \
	"application/vnd.docker.distribution.manifest.list.v2+json, "                              \
	"application/vnd.docker.distribution.manifest.v2+json"

struct manifest_item {
	char hex[DIGEST_HEX_LEN + 1];
	uint64_t size;
	char os[32], arch[32], variant[32]; /* an index's; "" = not given */
};

struct manifest {
	bool is_index;
	struct manifest_item config; /* not an index's */
	struct manifest_item *items; /* layers in their order, or manifests */
	size_t count;
};

/* EPROTO: it is neither; EMSGSIZE: too long. */
must_check int manifest_parse(const char *text, size_t len, struct manifest *out, struct err *e);
void manifest_release(struct manifest *m);
/* The index's manifest for this machine (linux, its architecture); NULL if there is none. */
const struct manifest_item *manifest_pick(const struct manifest *index);
/* The same for any: arch and variant as OCI names them, variant "" = any. */
const struct manifest_item *manifest_pick_for(const struct manifest *index, const char *os,
					      const char *arch, const char *variant);

#endif
