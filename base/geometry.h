/* Offsets and pieces. Source of the length rule: Dragonfly's client (power of two at least
 * content/500, between 4 and 64 MiB). */
#ifndef BASE_GEOMETRY_H
#define BASE_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#define PIECE_LENGTH_MIN (4u << 20)
#define PIECE_LENGTH_MAX (64u << 20)
#define PIECE_BLOCKS	 16 /* of a whole piece; a short one has fewer of the same length */

struct geometry {
	uint64_t content_length;
	uint32_t piece_length; /* > 0 */
	uint32_t piece_count;  /* 0 only for empty content */
};

uint32_t geometry_piece_length(uint64_t content_length);

/* False if piece_length is 0 or the count would not fit 32 bits. */
bool geometry_init(struct geometry *g, uint64_t content_length, uint32_t piece_length);

/* index < piece_count. The last piece may be short. */
uint64_t geometry_offset(const struct geometry *g, uint32_t index);
uint32_t geometry_length(const struct geometry *g, uint32_t index);
/* off < content_length. */
uint32_t geometry_index(const struct geometry *g, uint64_t off);

/* Blocks of a piece, which are verified one by one (docs/adr/0006-part-of-piece-reads.md). */
uint32_t geometry_block_length(const struct geometry *g);
unsigned geometry_block_count(const struct geometry *g, uint32_t index);

#endif
