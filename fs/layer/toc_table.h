/*
 * What a layer's own table of contents says, entry by entry: the JSON of eStargz
 * (stargz-snapshotter, docs/estargz.md, "TOC, TOCEntries") and of zstd:chunked (containers/storage,
 * pkg/chunked/internal), which has the same entries. Members that are not needed are passed over.
 * One entry is in memory at a time.
 */
#ifndef FS_LAYER_TOC_TABLE_H
#define FS_LAYER_TOC_TABLE_H

#include "fs/layer/tar.h"

#include <stddef.h>

/* A run of a file's bytes that can be had by itself. */
struct toc_chunk {
	uint64_t file_offset, len; /* len 0 = to the file's end */
	bool zeros;		   /* nothing but: the blob has none of it */
	uint64_t offset;	   /* in the blob: where a gzip member or zstd frame begins, */
	uint64_t inner;		   /* and so many inflated bytes of it come before */
	bool has_digest;
	uint8_t sha256[32]; /* of the run */
};

struct toc_entry {
	bool more;		/* of the file before: chunk is all that it has */
	struct tar_entry tar;	/* but for where the data are; never sparse */
	struct toc_chunk chunk; /* of a file that is not empty: its first */
};

/* Everything of the entry is valid during the call only. A negative result stops the parser. */
typedef int toc_entry_fn(void *arg, const struct toc_entry *entry, struct err *e);

/* Calls fn with each entry in their order. EBADMSG: it is no such table. Numbers are checked
 * against their types only: whether chunks make files is for the caller to see. */
must_check int toc_table_parse(const char *json, size_t len, toc_entry_fn *fn, void *arg,
			       struct err *e);

#endif
