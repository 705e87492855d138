/* A token bucket: bytes (or requests) per second, burst of a tenth of a second but at least
 * burst_min. Thread-safe. Rate 0 = unlimited. */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include "base/lock.h"

#include <stdint.h>

struct bucket {
	struct lock lock;
	uint64_t rate; /* per second */
	double tokens; /* may go negative: debt */
	double first;  /* the same, of what was taken first alone */
	double burst;
	int64_t at_us;
};

void bucket_init(struct bucket *b, uint64_t rate_per_s, uint64_t burst_min);
void bucket_release(struct bucket *b);
/* Takes n now (into debt if need be) and returns how many milliseconds the caller should wait
 * before it goes on; 0 = at once. Never blocks. */
int64_t bucket_take(struct bucket *b, uint64_t n);
/* The same for one who goes before the others: it waits only for the debt of its like, and what it
 * takes is waited off by the others. */
int64_t bucket_take_first(struct bucket *b, uint64_t n);
/* Takes n only if they are there. */
bool bucket_try(struct bucket *b, uint64_t n);

#endif
