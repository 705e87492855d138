/*
 * What an image is made of, asked of its registry: the manifest (of an index the one of a
 * platform), answered to a registry that wants a token or a password. Digests that are named are
 * compared. Addresses that content may not be fetched from are refused, see net_ip_is_forbidden().
 *
 * Must not know: peers, tasks. Blocks: for workers only.
 */
#ifndef CONTROL_SCHEDULER_IMAGE_H
#define CONTROL_SCHEDULER_IMAGE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct image_header {
	const char *name, *value;
};

struct image_ask {
	const char *url;		    /* <registry>/v2/<repository>/manifests/<ref> */
	const struct image_header *headers; /* the caller's; its Authorization is sent as it is */
	size_t header_count;
	const char *username, *password; /* NULL = none */
	const char *platform;		 /* "os/arch[/variant]"; NULL or "": this machine's */
	const char *ca; /* PEM text besides which nothing is trusted; NULL: the system's */
	bool insecure_skip_verify;
	int64_t timeout_ms; /* of each question */
};

struct image {
	char **urls; /* config and layers: <registry>/v2/<repository>/blobs/sha256:<hex> */
	size_t count;
	char *authorization; /* what the registry took from a caller that had credentials; or NULL
			      */
};

/* EINVAL the URL or platform, EACCES it refuses us, ENOENT no such image or platform, EPROTO
 * nonsense, EMSGSIZE too long, EBADMSG not what its digest says, EHOSTUNREACH, ETIMEDOUT. */
must_check int image_resolve(const struct image_ask *ask, struct image *out, struct err *e);
void image_release(struct image *i);

#endif
