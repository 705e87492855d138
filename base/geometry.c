/* Offsets and pieces: arithmetic only. */
#include "base/geometry.h"

#include <assert.h>

uint32_t geometry_piece_length(uint64_t content_length)
{
	uint64_t want = content_length / 500;
	uint64_t len = PIECE_LENGTH_MIN;

	while (len < want && len < PIECE_LENGTH_MAX)
		len *= 2;
	return (uint32_t)len;
}

bool geometry_init(struct geometry *g, uint64_t content_length, uint32_t piece_length)
{
	uint64_t count;

	if (piece_length == 0)
		return false;
	count = content_length / piece_length + (content_length % piece_length != 0);
	if (count > UINT32_MAX)
		return false;
	*g = (struct geometry){content_length, piece_length, (uint32_t)count};
	return true;
}

uint64_t geometry_offset(const struct geometry *g, uint32_t index)
{
	assert(index < g->piece_count);
	return (uint64_t)index * g->piece_length;
}

uint32_t geometry_length(const struct geometry *g, uint32_t index)
{
	uint64_t left = g->content_length - geometry_offset(g, index);

	return left < g->piece_length ? (uint32_t)left : g->piece_length;
}

uint32_t geometry_index(const struct geometry *g, uint64_t off)
{
	assert(off < g->content_length);
	return (uint32_t)(off / g->piece_length);
}

uint32_t geometry_block_length(const struct geometry *g)
{
	return g->piece_length / PIECE_BLOCKS + (g->piece_length % PIECE_BLOCKS != 0);
}

unsigned geometry_block_count(const struct geometry *g, uint32_t index)
{
	uint32_t block = geometry_block_length(g), len = geometry_length(g, index);

	return len / block + (len % block != 0);
}
