/*
 * Manifests by digest, kept in memory: small, immutable, and asked for by every pull. Only bytes
 * that have the digest they are asked by get in.
 *
 * A key holds the registry, the repository, the digest and a hash of the caller's Authorization:
 * who did not show the same one asks the registry himself, so a private manifest is never given to
 * someone whom the registry has not seen. Thread-safe.
 */
#ifndef DAEMON_MANIFESTS_H
#define DAEMON_MANIFESTS_H

#include "base/buf.h"
#include "daemon/errand.h"

#define MANIFEST_LEN_MAX (4u << 20) /* what registries accept */

struct manifests;
struct task;
struct tasks;

struct manifests *manifests_new(size_t bytes_max);
void manifests_free(struct manifests *m);
/* The key of an ERRAND_MANIFEST with a digest. The caller frees. */
char *manifests_key(const struct errand *x);
/* headers: "Name: value\n" lines to replay. Ignored if body's sha256 is not hex. */
void manifests_put(struct manifests *m, const char *key, const char *hex, const char *headers,
		   const char *body, size_t len);
/* True: copies. */
bool manifests_get(struct manifests *m, const char *key, struct buf *headers, struct buf *body);

/* Notes with task_note_source() every blob that a manifest names (image: config and layers, at most
 * 1000), so that a blob by digest is found later. Anything that is no manifest is ignored. */
void manifests_note_blobs(struct tasks *ts, const char *registry, const char *repository,
			  const char *authorization, const char *body, size_t len);

#endif
