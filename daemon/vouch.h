/*
 * What images say of their layers' own tables of contents: the digest that a table must have, by
 * annotations of the manifest, and the diff id that the layer has, by the configuration. Both are
 * fetched, checked against their digests and kept for a while. Only of images that the operator
 * believes: containerd gives a layer to every image with the same diff id (docs/adr/0010).
 * Thread-safe.
 *
 * Annotations: stargz-snapshotter, estargz/types.go and zstdchunked; containers/storage,
 * pkg/chunked/internal.
 */
#ifndef DAEMON_VOUCH_H
#define DAEMON_VOUCH_H

#include "base/config.h"
#include "base/digest.h"

#include <stdbool.h>

struct origin;
struct tasks;
struct vouch;

struct vouch_config {
	struct origin *origin;			 /* borrowed */
	struct tasks *tasks;			 /* borrowed; freed after this */
	const struct config_strings *plain_http; /* as registry_base.h; borrowed */
	/* The images that are believed: "registry:5000/library/debian", patterns (* allowed);
	 * borrowed. */
	const struct config_strings *images;
};

/* Of one layer. */
struct vouched {
	char digest[DIGEST_HEX_LEN + 1], diff_id[DIGEST_HEX_LEN + 1];
	char toc_digest[DIGEST_HEX_LEN + 1];
	bool of_stored; /* of the table as it is stored, not as JSON */
};

struct vouch *vouch_new(const struct vouch_config *c);
/* Who waits gets ECANCELED, now and later. NULL is fine. */
void vouch_stop(struct vouch *v);
void vouch_free(struct vouch *v);

/* What the image's manifest (64 hex) says of the layer (64 hex); image is where the registry has
 * it, as for layers_get(). Blocks, at most some 10 s when the registry has to be asked. ENOENT: it
 * says nothing, it is not believed, or it cannot be had, which is told in the log. */
must_check int vouch_find(struct vouch *v, const char *manifest, const char *image,
			  const char *digest, struct vouched *out, struct err *e);

/* Reads a manifest and its configuration; the caller frees *out. EPROTO: they do not fit together.
 * Layers without a table of their own are left out; config is not looked at if there is none. */
must_check int vouch_parse(const char *manifest, size_t manifest_len, const char *config,
			   size_t config_len, struct vouched **out, size_t *count_out,
			   struct err *e);

#endif
