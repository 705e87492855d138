/*
 * The table of chunks of an index that was made of a layer's own table of contents
 * (index_format.h, version 3): its blocks are runs of whole chunks. Between index.c, unpack.c and
 * chunks.c.
 */
#ifndef FS_LAYER_CHUNKS_H
#define FS_LAYER_CHUNKS_H

#include "fs/layer/index_format.h"
#include "fs/layer/unpack.h"

struct chunks;

/* records: as they are in the file, taken over, also when it fails. EBADMSG. */
must_check int chunks_new(struct index_chunk *records, uint32_t count,
			  const struct layer_info *info, struct chunks **out, struct err *e);
void chunks_free(struct chunks *c);

uint64_t chunks_block_count(const struct chunks *c);
/* The block that has this byte of the layer. */
uint64_t chunks_block_at(const struct chunks *c, uint64_t offset);
void chunks_block_extent(const struct chunks *c, uint64_t no, uint64_t *offset_out,
			 uint64_t *len_out);
/* Whether these len bytes are block no. */
bool chunks_block_is(const struct chunks *c, uint64_t no, const void *data, uint64_t len);
/* Compressed bytes that reading it takes, at most: from *offset_out to *end_out. */
void chunks_block_source(const struct chunks *c, uint64_t no, uint64_t *offset_out,
			 uint64_t *end_out);
/* Inflates block no into block, which has its length and is all zero, and checks it. EBADMSG. */
must_check int chunks_block_unpack(const struct chunks *c, uint64_t no, const struct unpack_io *io,
				   unsigned char *block, struct err *e);

#endif
