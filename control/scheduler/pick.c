/* Dragonfly's default evaluator and ours as pure functions. */
#include "control/scheduler/pick.h"

#include "proto/location.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#define DURATION_SECONDS 60.0
#define CONCURRENCY_UNIT                                                                           \
	(16.0 * 1024 * 1024) /* bytes per second that one concurrent piece wants                   \
			      */
#define TX_MAX_UNKNOWN 125e6
#define SLOW_FACTOR    20
#define COST_WINDOW    2000

static double at_least_zero(double x)
{
	return x > 0 ? x : 0;
}

static double load_score(const struct pick_candidate *c)
{
	double tx_max = (double)c->tx_max, need, peak, duration, concurrency;

	if (c->tx_max == 0)
		return 0.3 * (c->assigned_bytes == 0) + 0.2 * (c->assigned_pieces == 0);
	peak = at_least_zero(1 - (double)c->assigned_pieces * (double)c->piece_length / tx_max);
	duration = at_least_zero(1 - (double)c->assigned_bytes / tx_max / DURATION_SECONDS);
	need = tx_max / CONCURRENCY_UNIT;
	if (need <= 1)
		concurrency = 0;
	else if (c->assigned_pieces <= need)
		concurrency = 1;
	else
		concurrency = need / c->assigned_pieces;
	return 0.5 * peak + 0.3 * duration + 0.2 * concurrency;
}

static double location_score(const char *a, const char *b)
{
	if (!*a || !*b)
		return 0;
	if (strcasecmp(a, b) == 0)
		return 1;
	return (double)location_equal_levels(a, b) / LOCATION_LEVELS;
}

static double type_score(const struct pick_candidate *c)
{
	if (!c->is_seed)
		return 0.5;
	return c->is_seed_ready ? 1 : 0;
}

static double skimmer_score(const struct pick_candidate *c, double idc, double location)
{
	double tx = c->tx_max ? (double)c->tx_max : TX_MAX_UNKNOWN;

	return tx / (c->children + 1.0) * (1 + idc + 4 * location) *
	       (0.5 + 0.5 * (double)c->progress) / (c->is_slow ? SLOW_FACTOR : 1);
}

double pick_score(enum pick_algorithm a, const struct pick_child *child,
		  const struct pick_candidate *c)
{
	double idc = *child->idc && strcasecmp(child->idc, c->idc) == 0 ? 1 : 0;
	double location = location_score(child->location, c->location);

	if (a == PICK_SKIMMER)
		return skimmer_score(c, idc, location);
	return 0.6 * load_score(c) + 0.2 * idc + 0.1 * location + 0.1 * type_score(c);
}

static bool is_better(const struct pick_candidate *a, const struct pick_candidate *b)
{
	if (fabs(a->score - b->score) > 1e-9)
		return a->score > b->score;
	if (a->assigned_pieces != b->assigned_pieces)
		return a->assigned_pieces < b->assigned_pieces;
	return a->index < b->index;
}

static bool is_near(const struct pick_child *child, const struct pick_candidate *c)
{
	return strcasecmp(child->idc, c->idc) == 0 && strcasecmp(child->location, c->location) == 0;
}

/* The best of list[from..count) comes to list[from]; of those elsewhere only, if there is one. */
static void bring_best(const struct pick_child *child, struct pick_candidate *list, unsigned from,
		       unsigned count, bool elsewhere)
{
	unsigned best = count;
	struct pick_candidate c;

	for (unsigned i = from; i < count; i++) {
		if (elsewhere && is_near(child, &list[i]))
			continue;
		if (best == count || is_better(&list[i], &list[best]))
			best = i;
	}
	if (best == count && elsewhere) {
		bring_best(child, list, from, count, false);
		return;
	}
	c = list[from];
	list[from] = list[best];
	list[best] = c;
}

unsigned pick_best(enum pick_algorithm a, const struct pick_child *child,
		   struct pick_candidate *list, unsigned count, unsigned limit)
{
	unsigned taken = count < limit ? count : limit;
	bool all_near = a == PICK_SKIMMER && child->reaches_out && taken > 1;

	for (unsigned i = 0; i < count; i++)
		list[i].score = pick_score(a, child, &list[i]);
	for (unsigned i = 0; i < taken; i++) {
		bring_best(child, list, i, count, all_near && i == taken - 1);
		all_near = all_near && is_near(child, &list[i]);
	}
	return taken;
}

bool pick_is_slow(uint32_t count, double mean_ms, double variance, uint32_t last_ms)
{
	if (count < 2)
		return false;
	if (count < COST_WINDOW)
		return last_ms > mean_ms * SLOW_FACTOR;
	return last_ms > mean_ms + 3 * sqrt(variance);
}
