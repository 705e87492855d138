/*
 * Choosing parents: pure functions of a snapshot, for tests, benchmarks and the simulator. The
 *score is that of Dragonfly's default evaluator:
 *
 *	0.6 load + 0.2 idc + 0.1 location + 0.1 host type
 *	load = 0.5 idle bandwidth + 0.3 bandwidth by time + 0.2 concurrency
 */
#ifndef CONTROL_SCHEDULER_PICK_H
#define CONTROL_SCHEDULER_PICK_H

#include <stdbool.h>
#include <stdint.h>

struct pick_child {
	const char *idc, *location;
};

struct pick_candidate {
	const char *idc, *location;
	uint64_t tx_max; /* bytes per second, 0 = unknown */
	uint64_t piece_length;
	uint64_t assigned_bytes;     /* contents of the children its host was given */
	uint32_t assigned_pieces;    /* their concurrent pieces */
	bool is_seed, is_seed_ready; /* ready: received or running */
	uint32_t index;		     /* the caller's */
};

double pick_score(const struct pick_child *child, const struct pick_candidate *c);
/* Sorts best first (equal scores: fewer assigned pieces, then index) and returns how many to take.
 */
unsigned pick_best(const struct pick_child *child, struct pick_candidate *list, unsigned count,
		   unsigned limit);

/* A parent whose last piece was far out of line: more than 20 times the mean of the earlier ones,
 * and once there are many, more than three standard deviations above it. */
bool pick_is_slow(uint32_t count, double mean_ms, double variance, uint32_t last_ms);

#endif
