/* Paths below oci/ of the mount, taken apart. Pure. */
#ifndef DAEMON_IMAGE_PATH_H
#define DAEMON_IMAGE_PATH_H

#include "base/err.h"

#include <stdbool.h>

/* Up to NAME they can be directories without being an image. */
enum image_path_kind {
	IMAGE_PATH_REGISTRY,   /* oci/<registry> */
	IMAGE_PATH_REPOSITORY, /* its first name: cannot be an image */
	IMAGE_PATH_NAME,       /* an image, or a further name of a repository */
	IMAGE_PATH_INDEX,      /* the rest: something in the image at `image` */
	IMAGE_PATH_MANIFEST,
	IMAGE_PATH_CONFIG,
	IMAGE_PATH_LAYERS,
	IMAGE_PATH_LAYER,
};

struct image_path {
	enum image_path_kind kind;
	char *registry;	  /* as written */
	char *image;	  /* NAME and the rest: "oci/<registry>/<repository>/<reference>" */
	char *repository; /* ... "library/debian" */
	char *reference;  /* ... */
	bool may_be_name; /* NAME: the reference can be a name of a repository too */
	const char *leaf; /* LAYER: the last name, in path */
	unsigned depth;	  /* number of names in path */
};

/* path: "oci/..." with at least a registry. It is borrowed (leaf). ENOENT: nothing can be there. */
must_check int image_path_parse(const char *path, struct image_path *out, struct err *e);
void image_path_release(struct image_path *p);

#endif
