/*
 * What a forest is handed: a forest is a mount whose root has one directory for each layer, the
 * layer's whole tree. The daemon implements it (daemon/layer_trees.c), tests use a fake. Names and
 * attributes come out of the layer's EROFS image, which is on local disk; contents of files are
 * extents of its uncompressed tar.
 */
#ifndef FS_FOREST_SOURCE_H
#define FS_FOREST_SOURCE_H

#include "fs/layer/erofs_tree.h"
#include "fs/source.h"

struct fs_forest_layer {
	void *layer;	  /* the source's, until close() */
	int image_fd;	  /* its EROFS image; the forest's from now on */
	uint64_t version; /* another one: another image */
};

struct fs_forest_ops {
	/* The layer of this name stays here until close(). Any thread; may read the disk, must not
	 * wait for the network. ENOENT. */
	int (*open)(void *src, const char *name, struct fs_forest_layer *out, struct err *e);
	void (*close)(void *src, void *layer);
	/* Names of what is here; as fs_source_ops.list(). */
	void (*list)(void *src, fs_list_fn fn, void *arg);
	/* As fs_source_ops.read(): the answer's extents are these, in order; holes read as zeros. x
	 * is valid during the call only. */
	void (*read)(void *src, void *layer, const struct erofs_extent *x, unsigned count,
		     struct fs_read *r);
	bool (*read_cancel)(void *src, struct fs_read *r);
};

#endif
