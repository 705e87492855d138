/*
 * The layer index's file, versions 2 and 3. Little-endian.
 *
 *   head         INDEX_HEAD_LEN bytes, struct index_head: ends with the XXH3-64 of what is before
 *   windows      zstd-compressed windows of the checkpoints, each by itself
 *   checkpoints  struct index_record for each checkpoint, one zstd frame
 *   blocks       for each LAYER_BLOCK_LEN of the uncompressed tar where its sha256 stands after it
 *                (32 bytes, sha256_state()); for a last one that is shorter, the diff id
 *   erofs        the EROFS image, one zstd frame
 *
 * Version 3 is of a layer that is laid out by its own table of contents (toc_index.h): windows and
 * checkpoints are empty, and
 *   blocks       the table's digest (32 bytes), struct index_chunk for each chunk, one zstd frame;
 *                checkpoint_count counts them
 *
 * Sections follow one another without gaps up to the file's end. Each but windows has the XXH3-64
 * of its stored bytes in the head; a window has that of its raw bytes in its checkpoint. XXH3 finds
 * damage, not malice: who may build an index is for those who pass it on to know. Blocks
 * are compared with sha256, so that a layer's bytes may come from anybody: from where the sum stood
 * before a block, its bytes must lead to where it stands after. So all blocks right are a layer
 * right, and a builder hashes the tar once.
 */
#ifndef FS_LAYER_INDEX_FORMAT_H
#define FS_LAYER_INDEX_FORMAT_H

#include "fs/layer/info.h"

#define INDEX_MAGIC	  "SKIMIDX\n"
#define INDEX_VERSION	  2
#define INDEX_VERSION_TOC 3
#define INDEX_ROOM	  16384 /* of a buffer on the stack: threads of pools have 256 KiB */

enum { INDEX_WINDOWS, INDEX_CHECKPOINTS, INDEX_BLOCKS, INDEX_EROFS, INDEX_SECTION_COUNT };

struct index_section {
	uint64_t offset, stored_len, raw_len, xxh3;
} __attribute__((packed));

struct index_head {
	char magic[8];
	uint32_t version, head_len;
	uint8_t digest[32], diff_id[32];
	uint64_t compressed_len, len, inode_count, span_len_max;
	uint32_t compression, toc, checkpoint_count, implied_dirs;
	struct index_section sections[INDEX_SECTION_COUNT];
	uint64_t prefetch_len;
	uint8_t reserved[8];
	uint64_t xxh3;
} __attribute__((packed));

#define INDEX_HEAD_LEN sizeof(struct index_head)

#define INDEX_RECORD_FRESH 0x1 /* flags; bits 8..10 are the bit count */

struct index_record {
	uint64_t in_offset, out_offset, window_offset, window_xxh3;
	uint32_t window_stored_len, window_raw_len, flags, reserved;
} __attribute__((packed));

#define INDEX_SECTOR	 512 /* where files begin in a layout by table */
#define INDEX_DIGEST_LEN 32

#define INDEX_CHUNK_ZEROS                                                                          \
	0x1 /* flags: the blob has none of it; in_offset, inner: where it stands */
#define INDEX_CHUNK_BLOCK 0x2 /* a block begins */

/* Chunks are in the order of both offsets; what is between them in the layer is zero, and less than
 * INDEX_SECTOR. */
struct index_chunk {
	uint64_t in_offset, inner; /* the member or frame, and where in what is inflated of it */
	uint64_t out_offset;
	uint32_t len, flags;
	uint8_t sha256[INDEX_DIGEST_LEN];
} __attribute__((packed));

/* Where in its member it ends; in the host's byte order. */
static inline uint64_t index_chunk_inner_end(const struct index_chunk *k)
{
	return k->inner + (k->flags & INDEX_CHUNK_ZEROS ? 0 : k->len);
}

/* Bounds of what is believed on opening. */
#define INDEX_CHUNK_COUNT_MAX	   (1U << 20)
#define INDEX_CHUNK_LEN_MAX	   (64U << 20) /* of a block of chunks as well: they are in memory */
#define INDEX_LAYER_LEN_MAX	   (1ULL << 41)
#define INDEX_CHECKPOINT_COUNT_MAX (1U << 22)
#define INDEX_EROFS_LEN_MAX	   (1ULL << 32)

/* 64 hex digits to 32 bytes and back. */
void index_hex_pack(const char *hex, uint8_t out[32]);
void index_hex_print(const uint8_t bytes[32], char out[DIGEST_HEX_LEN + 1]);

/* All of len at offset; EBADMSG if the file is shorter. */
must_check int index_pread(int fd, uint64_t offset, void *buf, size_t len, struct err *e);
must_check int index_pwrite(int fd, uint64_t offset, const void *buf, size_t len, struct err *e);

#endif
