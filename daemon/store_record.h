/*
 * The record of a task as bytes: what is known of it, and of each of its pieces. Pure: no I/O.
 * Numbers are little-endian.
 *
 *	offset		size	head
 *	0		8	"SKIMREC\n"
 *	8		4	version, 1
 *	12		4	length of the JSON, 2 .. STORE_HEAD_MAX
 *	16		4	CRC-32 of bytes 0..15 and the JSON
 *	20		4	0
 *	24		n	JSON: id, content_length, piece_length, url, digest, tag,
 *application, headers, created_ms (absent = none). A byte b of a text stands as U+00b, so that
 *texts which are not UTF-8 survive. then zeros up to a multiple of 64, where the table begins: one
 *place of 64 bytes per piece, and one more for "the whole was verified"
 *
 *	offset		size	place
 *	0		4	index of the piece; piece_count for the whole
 *	4		4	length; 0 for the whole
 *	8		4	CRC-32 of the bytes; 0 for the whole
 *	12		4	cost in ms
 *	16		8	XXH3-64 of the bytes; for the whole: XXH3-64 of all pieces' XXH3-64
 *in order, so that it says nothing of a piece that was replaced later
 *	24		8	epoch in which the bytes were written or last compared; 0 =
 *distrusted 32		8	when, wall ms 40		1	source 41		19
 *0 60		4	CRC-32 of the id and bytes 0..59
 *
 * A place that is all zeros is an absent piece. Places never cross a disk sector, so a stop in the
 * middle of a write leaves the old one or the new one.
 *
 * Behind the table, a second one with a place of 64 bytes per piece: the CRC-32s of its blocks
 * (geometry_block_length()), 4 bytes each. They need no checksum of their own: together they make
 * the CRC-32 in the piece's entry, or they are not believed, and the piece is served whole only.
 * All zeros: not known. A record that ends before it is one of an earlier version, which would
 * cut it off again and lose nothing else.
 */
#ifndef DAEMON_STORE_RECORD_H
#define DAEMON_STORE_RECORD_H

#include "daemon/store.h"

#include <stddef.h>

#define STORE_PREFIX_SIZE     24
#define STORE_PLACE_SIZE      64
#define STORE_HEAD_MAX	      (256u << 10)
#define STORE_PIECE_COUNT_MAX (1u << 20)

struct store_entry {
	uint32_t index, length, crc32, cost_ms;
	uint64_t xxh3, epoch;
	int64_t time_ms;
	uint8_t source;
};

enum store_place { STORE_PLACE_EMPTY, STORE_PLACE_TAKEN, STORE_PLACE_TORN };

/* Where the table begins, from the first STORE_PREFIX_SIZE bytes. EBADMSG. */
must_check int store_record_table(const void *prefix, size_t *table_out, struct err *e);
/* Bytes of the whole record. */
size_t store_record_size(size_t table, uint32_t piece_count);
/* Where the CRC-32s of a piece's blocks stand: STORE_PLACE_SIZE bytes. */
size_t store_record_blocks(size_t table, uint32_t piece_count, uint32_t index);

/* The head's bytes up to the table, *len_out of them; the caller frees. E2BIG when the texts are
 * too long. Times other than created_ms and whole_verified are not kept here. */
must_check int store_head_print(const struct store_meta *m, char **out, size_t *len_out,
				struct err *e);
/* data holds at least the head, len bytes. *out must be released; it is empty after an error.
 * EBADMSG: not a record, damaged, or of another id. */
must_check int store_head_parse(const void *data, size_t len, const char *id,
				struct store_meta *out, struct err *e);

void store_entry_print(const struct store_entry *x, const char *id,
		       unsigned char out[STORE_PLACE_SIZE]);
/* TORN: damaged, or not the entry of this id, index and length. */
enum store_place store_entry_parse(const unsigned char place[STORE_PLACE_SIZE], const char *id,
				   uint32_t index, uint32_t length, struct store_entry *out);

void store_blocks_print(const uint32_t crc32[PIECE_BLOCKS], unsigned char out[STORE_PLACE_SIZE]);
/* False: not known, or not of a piece of this length and CRC-32. */
bool store_blocks_parse(const unsigned char place[STORE_PLACE_SIZE], uint32_t block_length,
			uint32_t length, uint32_t crc32, uint32_t out[PIECE_BLOCKS]);

#endif
