/* Layers that bring a table of contents of their own announce it in their last bytes: eStargz
 * (stargz-snapshotter, docs/estargz.md) and zstd:chunked in its two dialects. */
#ifndef FS_LAYER_TOC_H
#define FS_LAYER_TOC_H

#include "fs/layer/info.h"

#define TOC_TAIL_LEN 72 /* the most that a footer takes */

/* What the last tail_len bytes (TOC_TAIL_LEN of them, or all of a shorter blob) announce. */
enum layer_toc toc_kind(const unsigned char *tail, size_t tail_len, uint64_t blob_len);

#endif
