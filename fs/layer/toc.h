/* Layers that bring a table of contents of their own announce it in their last bytes: eStargz
 * (stargz-snapshotter, docs/estargz.md, with the footer of older writers) and zstd:chunked in its
 * two dialects. What the table says is toc_table.h's. */
#ifndef FS_LAYER_TOC_H
#define FS_LAYER_TOC_H

#include "fs/layer/info.h"

#define TOC_TAIL_LEN 72 /* the most that a footer takes */

#define TOC_STORED_LEN_MAX (32ULL << 20) /* of what toc_find() finds */
#define TOC_LEN_MAX	   (64ULL << 20) /* of the table as JSON */

struct toc_place {
	enum layer_toc kind;
	uint64_t offset;     /* of the table in the blob, */
	uint64_t stored_len; /* as it is stored there: gzip members of a tar, or a zstd frame */
};

/* What the last tail_len bytes (TOC_TAIL_LEN of them, or all of a shorter blob) announce; false,
 * and LAYER_TOC_NONE: nothing. The place is inside the blob; what is there nobody knows yet. */
bool toc_find(const unsigned char *tail, size_t tail_len, uint64_t blob_len, struct toc_place *out);
/* Only which kind. */
enum layer_toc toc_kind(const unsigned char *tail, size_t tail_len, uint64_t blob_len);

#endif
