/*
 * Writes a tree as an EROFS image of metadata only: the data of files stay where they are in the
 * uncompressed tar, which is the image's device 1 (as `mkfs.erofs --tar=i` does). Kernels from 6.4
 * on read it.
 */
#ifndef FS_LAYER_EROFS_H
#define FS_LAYER_EROFS_H

#include "fs/layer/tree.h"

struct erofs_summary {
	uint64_t len; /* of the image, a multiple of 512 */
	uint64_t inode_count;
};

/* The tree must have been ended; its marks are used. Appends to file. The same tree gives the same
 * bytes. ENOTSUP: a sparse file whose pieces do not lie at blocks, a tar beyond 2 TiB; E2BIG. */
must_check int erofs_write(struct tree *t, uint64_t tar_len, FILE *file, struct erofs_summary *out,
			   struct err *e);

#endif
