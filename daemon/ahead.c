/* Reading ahead: streams are found by where they left off, the least recently read one gives way.
 */
#include "daemon/ahead.h"

#include <string.h>

/* Reads of one stream come out of order by about so much (the kernel's read-ahead is split), but
 * not by more than a piece. */
#define SLACK_MAX (4u << 20)

static uint32_t window_max(const struct geometry *g)
{
	uint32_t pieces = AHEAD_BYTES_MAX / g->piece_length;

	if (pieces < 1)
		return 1;
	return pieces < AHEAD_PIECES_MAX ? pieces : AHEAD_PIECES_MAX;
}

static struct ahead_stream *find(struct ahead *a, const struct geometry *g, uint64_t off)
{
	uint32_t slack = g->piece_length < SLACK_MAX ? g->piece_length : SLACK_MAX;
	struct ahead_stream *oldest = &a->streams[0];

	for (unsigned i = 0; i < AHEAD_STREAMS; i++) {
		struct ahead_stream *s = &a->streams[i];

		if (s->used && off + slack >= s->next_off && off <= s->next_off + slack)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	/* A read from the start will mostly go on; one in the middle must show it first. */
	*oldest = (struct ahead_stream){.next_off = off, .window = off == 0 ? 2 : 0};
	return oldest;
}

bool ahead_read(struct ahead *a, const struct geometry *g, uint64_t off, uint32_t len)
{
	struct ahead_stream *s = find(a, g, off);
	uint32_t index = geometry_index(g, off + len - 1);
	uint32_t window = s->window;
	bool known = s->used != 0, moved = !known || index > s->at;

	if (off + len > s->next_off)
		s->next_off = off + len;
	s->used = ++a->reads;
	if (known && window == 0)
		window = 1;
	else if (known && moved)
		window *= 2;
	if (window > window_max(g))
		window = window_max(g);
	if (moved)
		s->at = index;
	moved = moved || window != s->window;
	s->window = window;
	return moved && window > 0;
}

bool ahead_window(const struct ahead *a, const struct geometry *g, unsigned n, uint32_t *first_out,
		  uint32_t *end_out)
{
	const struct ahead_stream *s = NULL;
	uint64_t end;

	for (unsigned i = 0; i < AHEAD_STREAMS; i++) {
		unsigned newer = 0;

		for (unsigned j = 0; j < AHEAD_STREAMS; j++)
			newer += a->streams[j].used > a->streams[i].used;
		if (a->streams[i].used && newer == n)
			s = &a->streams[i];
	}
	if (!s || s->window == 0 || s->at + 1 >= g->piece_count)
		return false;
	end = (uint64_t)s->at + 1 + s->window;
	*first_out = s->at + 1;
	*end_out = end < g->piece_count ? (uint32_t)end : g->piece_count;
	return true;
}

bool ahead_has(const struct ahead *a, const struct geometry *g, uint32_t index)
{
	for (unsigned n = 0; n < AHEAD_STREAMS; n++) {
		uint32_t first, end;

		if (ahead_window(a, g, n, &first, &end) && index >= first && index < end)
			return true;
	}
	return false;
}

void ahead_narrow(struct ahead *a, uint32_t pieces)
{
	for (unsigned i = 0; i < AHEAD_STREAMS; i++)
		if (a->streams[i].window > pieces)
			a->streams[i].window = pieces;
}
