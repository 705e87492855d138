/* What is known of a layer: told by the builder of its index and by every reader of it. */
#ifndef FS_LAYER_INFO_H
#define FS_LAYER_INFO_H

#include "base/digest.h"

/* The uncompressed layer is verified in blocks of this length, at multiples of it (the last is
 * shorter); where a table of contents lays it out, in runs of chunks, of about this length. */
#define LAYER_BLOCK_LEN (1024 * 1024)

/* Written into indexes: never renumber. */
enum layer_compression {
	LAYER_PLAIN = 0,
	LAYER_GZIP = 1, /* any number of members */
	LAYER_ZSTD = 2, /* any number of frames */
};

/* A table of contents of its own, which the layer's last bytes announce. */
enum layer_toc {
	LAYER_TOC_NONE = 0,
	LAYER_TOC_ESTARGZ = 1,
	LAYER_TOC_ZSTD_CHUNKED = 2,
};

struct layer_info {
	char digest[DIGEST_HEX_LEN + 1];  /* sha256 of the blob as it is in the registry */
	char diff_id[DIGEST_HEX_LEN + 1]; /* sha256 of the uncompressed tar */
	/* Of a layer that is laid out by its own table of contents: the digest of that, as the
	 * image says. "" = it is laid out as its tar. */
	char toc_digest[DIGEST_HEX_LEN + 1];
	/* What the layer goes by where it is kept: digest, or index_toc_id() of all three. */
	char id[DIGEST_HEX_LEN + 1];
	enum layer_compression compression;
	enum layer_toc toc;
	uint64_t compressed_len;
	uint64_t len; /* of the uncompressed tar, or of what is laid out instead */
	uint64_t erofs_len;
	uint64_t tree_sum; /* another one: another image, perhaps of the same tree */
	uint64_t inode_count;
	/* The most that must be inflated before a wanted byte comes. Some MiB for gzip, whatever
	 * wrote it; a zstd frame can only be read from its start, so a layer that is one great
	 * frame has its whole length here and is better taken whole than read lazily. */
	uint64_t span_len_max;
	uint32_t checkpoint_count;
	/* Directories that the layer has no entry for: they were made 0755 root:root. An unpacker
	 * that knows the layers below would have taken owner and mode from there. */
	uint32_t implied_dirs;
	uint64_t prefetch_len; /* what eStargz's landmark says is read first: so many bytes, or 0 */
};

#endif
