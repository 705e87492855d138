/*
 * Which pieces a reader will ask for next: a few sequential streams per task, each with a window
 * that doubles as the reader goes on. Pure bookkeeping, no lock of its own; nothing is marked on
 * pieces, so a reader that seeks away takes its speculation with it.
 */
#ifndef DAEMON_AHEAD_H
#define DAEMON_AHEAD_H

#include "base/geometry.h"

#include <stdbool.h>
#include <stdint.h>

#define AHEAD_STREAMS	 4
#define AHEAD_PIECES_MAX 16
#define AHEAD_BYTES_MAX	 (64u << 20)

struct ahead {
	struct ahead_stream {
		uint64_t next_off; /* where the next read is expected */
		uint32_t at;	   /* the piece last read */
		uint32_t window;   /* pieces after it that will be wanted */
		uint64_t used;	   /* when it was last read, in reads; 0 = free */
	} streams[AHEAD_STREAMS];
	uint64_t reads;
};

/* Notes a read; len > 0, inside the content. True if a window now covers other pieces. */
bool ahead_read(struct ahead *a, const struct geometry *g, uint64_t off, uint32_t len);
/* The window of stream n (0 is that which was read last) as [*first_out, *end_out). False if there
 * is no such stream or its window is empty. */
bool ahead_window(const struct ahead *a, const struct geometry *g, unsigned n, uint32_t *first_out,
		  uint32_t *end_out);
bool ahead_has(const struct ahead *a, const struct geometry *g, uint32_t index);
/* Narrows every window to at most pieces (memory or disk is short, or there are no sources). */
void ahead_narrow(struct ahead *a, uint32_t pieces);

#endif
