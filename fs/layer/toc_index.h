/*
 * Makes an index of a layer's own table of contents: no byte of the layer but the table is needed.
 * The layer then is not laid out as its tar, whose headers the table does not tell, but file after
 * file, each from a multiple of 512 on; blocks are runs of chunks, and a chunk is what has the
 * sha256 that the table says. docs/adr/0010.
 */
#ifndef FS_LAYER_TOC_INDEX_H
#define FS_LAYER_TOC_INDEX_H

#include "fs/layer/toc.h"

struct toc_layer {
	const char *digest, *diff_id; /* 64 hex; what the image says of the layer */
	const char *toc_digest;	      /* 64 hex: and of its table */
	bool of_stored; /* that is the sha256 of the table as it is stored, not as JSON */
	uint64_t compressed_len;
	struct toc_place place; /* stored_len <= TOC_STORED_LEN_MAX */
	const char *dir;	/* for temporary files */
};

/* table: place.stored_len bytes of the blob from place.offset on. Writes the index to fd, an empty
 * regular file. EBADMSG: the table is broken or has another digest; ENOTSUP: what it says cannot
 * be served or cannot be verified; E2BIG. info_out may be NULL. */
must_check int toc_index_write(const struct toc_layer *l, const void *table, int fd,
			       struct layer_info *info_out, struct err *e);

#endif
