/*
 * Lazy layers: the daemon says how one is mounted, EROFS shows it, or where the kernel has none the
 * daemon itself. Mounts are the kernel's and stay when this program goes; those whose daemon went
 * are made anew before the next container uses them. Must not know: rows, gRPC's server side.
 */
#ifndef CONTRIB_CONTAINERD_LAZY_H
#define CONTRIB_CONTAINERD_LAZY_H

#include "base/err.h"
#include "contrib/containerd/labels.h"

#include <stdbool.h>
#include <stdint.h>

struct lazy;

struct lazy_layer {
	char *diff_id;		      /* "sha256:<hex>" */
	char *layer;		      /* the same, what it is asked for by from now on */
	char *erofs_path, *data_path; /* for the kernel to show it */
	char *tree_path;	      /* "": it has to; else where it is shown already */
	int64_t size, inodes;
	uint32_t implied_dirs;
};

/* After rpc_init(). The socket may be absent for now. */
struct lazy *lazy_new(const char *daemon_socket, int64_t timeout_ms);
/* NULL is fine. Mounts stay. */
void lazy_free(struct lazy *z);

/* What containerd says of a layer: borrowed, NULL = it does not say. */
struct lazy_question {
	const char *digest;   /* "sha256:<hex>", never NULL */
	const char *image;    /* where it is */
	const char *manifest; /* "sha256:<hex>" of the image's */
	const char *layers;   /* digests of layers that it will ask for next, between commas */
};

/* Blocks. ENOENT, ENOSYS: not lazy now or ever; EHOSTUNREACH: no daemon. */
must_check int lazy_ask(struct lazy *z, const struct lazy_question *q, struct lazy_layer *out,
			struct err *e);
void lazy_layer_release(struct lazy_layer *l);

/* Is this the layer that containerd asks for? chain_id is what the layers up to it are called, as
 * the OCI image specification says (config.md, "Layer ChainID"); parent_chain_id NULL = the lowest.
 */
bool lazy_is_chain(const char *chain_id, const char *parent_chain_id, const char *diff_id);

/* Mounts the layer at dir, which it makes where it is missing, in place of what was there. */
must_check int lazy_show(struct lazy *z, const char *dir, const struct lazy_layer *l,
			 struct err *e);
/* Sees to it that the layer is mounted at dir: does nothing when this process mounted it there and
 * what is below still lives. */
must_check int lazy_mount(struct lazy *z, const char *dir, const char *digest, struct err *e);
/* The same, but whatever is mounted there already is good enough. */
must_check int lazy_keep(struct lazy *z, const char *dir, const char *digest, struct err *e);
/* Whatever is mounted at dir; good when nothing is. */
void lazy_unmount(struct lazy *z, const char *dir);

#endif
