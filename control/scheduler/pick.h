/*
 * Choosing parents: pure functions of a snapshot, for tests, benchmarks and the simulator.
 *
 * PICK_DEFAULT is Dragonfly's default evaluator:
 *	0.6 load + 0.2 idc + 0.1 location + 0.1 host type
 *	load = 0.5 idle bandwidth + 0.3 bandwidth by time + 0.2 concurrency
 *
 * PICK_SKIMMER is what a child may expect of the parent's link, worth more the nearer it is:
 *	tx_max / (children + 1) * (1 + idc + 4 * location) * (0.5 + 0.5 progress), slow: / 20
 * and for a child that reaches out, the last of those taken is from elsewhere if all others are
 * near: a place whose members only know each other waits for what never comes.
 */
#ifndef CONTROL_SCHEDULER_PICK_H
#define CONTROL_SCHEDULER_PICK_H

#include <stdbool.h>
#include <stdint.h>

enum pick_algorithm { PICK_DEFAULT, PICK_SKIMMER };

struct pick_child {
	const char *idc, *location;
	bool reaches_out; /* the last one taken is from elsewhere if all others are near */
};

struct pick_candidate {
	const char *idc, *location;
	uint64_t tx_max; /* bytes per second, 0 = unknown */
	uint64_t piece_length;
	uint64_t assigned_bytes;     /* contents of the children its host was given */
	uint32_t assigned_pieces;    /* their concurrent pieces */
	uint32_t children;	     /* of its host */
	float progress;		     /* 0 nothing, 1 all */
	bool is_seed, is_seed_ready; /* ready: received or running */
	bool is_slow;		     /* pick_is_slow(); Dragonfly's drops them before */
	uint32_t index;		     /* the caller's */
	double score;		     /* pick_best()'s */
};

double pick_score(enum pick_algorithm a, const struct pick_child *child,
		  const struct pick_candidate *c);
/* Puts the best to the front, best first (equal scores: fewer assigned pieces, then index), and
 * returns how many to take. */
unsigned pick_best(enum pick_algorithm a, const struct pick_child *child,
		   struct pick_candidate *list, unsigned count, unsigned limit);

/* A parent whose last piece was far out of line: more than 20 times the mean of the earlier ones,
 * and once there are many, more than three standard deviations above it. */
bool pick_is_slow(uint32_t count, double mean_ms, double variance, uint32_t last_ms);

#endif
