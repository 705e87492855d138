/* Many small pieces of memory that are freed together, with a bound on all of them. */
#ifndef FS_LAYER_ARENA_H
#define FS_LAYER_ARENA_H

#include "base/err.h"

#include <stdint.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t left; /* of the newest chunk */
	uint64_t taken, taken_max;
};

/* Zeroed, aligned for anything; NULL with E2BIG beyond taken_max. */
must_check void *arena_alloc(struct arena *a, size_t size, struct err *e);
/* Copies len bytes and adds a NUL. */
must_check void *arena_copy(struct arena *a, const void *data, size_t len, struct err *e);
void arena_release(struct arena *a);

#endif
