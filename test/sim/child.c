/*
 * A download as the daemon does it (daemon/fetch.c, fetch_work.c, swarm.c): several pieces at once,
 * each from a parent drawn by idle bandwidth; parents announce pieces as they get them; who lacks
 * what is missing waits, asks for others, and in the end reads the origin.
 */
#include "test/sim/world.h"

#include <assert.h>
#include <string.h>

#define RESCHEDULES_MAX 5
#define UNREAD_PATIENCE 4 /* no reader waits */
#define ORIGIN_HANDS	1 /* what the daemon finds to be enough for a link that they fill */
#define NOBODY		UINT32_MAX
#define TELL_FULL_US	50000

void child_begin(struct world *w, struct child *c, bool from_origin)
{
	c->begun_us = c->progress_us = w->now_us;
	c->mode = from_origin ? FROM_ORIGIN : SCHEDULING;
	w->active[w->active_count++] = world_index(w, c);
	talk_say(w, c, SAY_REGISTER, from_origin);
}

static void to_origin(struct world *w, struct child *c)
{
	c->mode = FROM_ORIGIN;
	w->tally.to_source++;
	if (!c->told_source)
		talk_say(w, c, SAY_SOURCE, 0);
	c->told_source = true;
}

/* ---- parents */

static void take_parents(struct world *w, struct child *c, const struct letter *l)
{
	for (uint32_t i = 0; i < l->parent_count && c->feeder_count < FEEDERS_MAX; i++) {
		bool known = false;

		for (uint32_t j = 0; j < c->feeder_count; j++)
			known |= c->feeders[j].child == l->parents[i];
		if (known)
			continue;
		c->feeders[c->feeder_count].child = l->parents[i];
		news_subscribe(w, c, c->feeder_count++);
	}
}

void child_hear(struct world *w, struct child *c, const struct letter *l)
{
	if (c->mode == DONE || c->mode == FAILED || c->mode == DEAD)
		return;
	c->asked = false;
	if (l->what == HEAR_PARENTS) {
		take_parents(w, c, l);
		c->progress_us = w->now_us;
		if (c->mode == SCHEDULING)
			c->mode = PARENTS;
		if (!c->started)
			talk_say(w, c, SAY_STARTED, 0);
		c->started = true;
	} else if (l->what == HEAR_SOURCE) {
		if (c->mode == FROM_ORIGIN && !c->told_source) {
			c->told_source = true;
			talk_say(w, c, SAY_SOURCE, 0);
		} else {
			to_origin(w, c);
		}
	} else if (c->mode == SCHEDULING || c->mode == PARENTS) {
		/* Refused: the daemon reads the origin then. */
		w->tally.refused++;
		to_origin(w, c);
	}
}

/* The daemon hears of idle bandwidth once a second (SyncHost). */
static uint64_t weight(const struct world *w, const struct feeder *f)
{
	const struct sim_host *h = &w->hosts[w->children[f->child].host];
	double idle = h->up - h->tx;

	if (idle < h->up / 10)
		idle = h->up / 10;
	return (uint64_t)idle / (1u + f->in_flight) + 1;
}

static void drop_dead(struct world *w, struct child *c)
{
	for (uint32_t i = 0; i < c->feeder_count; i++)
		if (w->hosts[w->children[c->feeders[i].child].host].is_dead)
			c->feeders[i].dropped = true;
}

/* A parent for this piece but not "except"; NOBODY. */
static uint32_t choose_feeder(struct world *w, struct child *c, uint32_t piece, uint32_t except)
{
	uint32_t chosen = NOBODY;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < c->feeder_count; i++) {
		const struct feeder *f = &c->feeders[i];

		if (i == except || f->dropped || !bit_get(f->told, piece))
			continue;
		sum += weight(w, f);
		if (world_random(w) % sum < weight(w, f))
			chosen = i;
	}
	return chosen;
}

/* ---- which piece */

/* The first set bit from a place on, round about; NOBODY. */
static uint32_t bit_from(const uint64_t *bits, uint32_t words, uint32_t start)
{
	for (uint32_t i = 0; i <= words; i++) {
		uint32_t at = (start / 64 + i) % words;
		uint64_t word = bits[at];

		if (i == 0)
			word &= ~UINT64_C(0) << (start % 64);
		if (word)
			return at * 64 + (uint32_t)__builtin_ctzll(word);
	}
	return NOBODY;
}

/* Sets of missing pieces that one, two, or three and more parents have. */
static bool count_holders(struct world *w, const struct child *c, uint64_t *sets[3])
{
	uint64_t any = 0;

	memset(w->bits, 0, 3 * w->words * sizeof(uint64_t));
	for (uint32_t i = 0; i < c->feeder_count; i++) {
		const uint64_t *told = c->feeders[i].told;

		if (c->feeders[i].dropped)
			continue;
		for (uint32_t k = 0; k < w->words; k++) {
			uint64_t b = told[k] & ~c->have[k] & ~c->flight[k];

			sets[2][k] |= sets[1][k] & b;
			sets[1][k] |= sets[0][k] & b;
			sets[0][k] |= b;
			any |= b;
		}
	}
	return any != 0;
}

/* One of those in sets, which hold what one, two, and more parents have. */
static uint32_t choose_piece(struct world *w, uint64_t *sets[3])
{
	uint32_t start = (uint32_t)(world_random(w) % w->pieces), found = NOBODY;

	if (w->sc->order == ORDER_ASCENDING)
		return bit_from(sets[0], w->words, 0);
	if (w->sc->order == ORDER_RANDOM)
		return bit_from(sets[0], w->words, start);
	for (uint32_t k = 0; k < w->words; k++) {
		sets[0][k] &= ~sets[1][k];
		sets[1][k] &= ~sets[2][k];
	}
	for (unsigned i = 0; i < 3 && found == NOBODY; i++)
		found = bit_from(sets[i], w->words, start);
	return found;
}

/* A parent that has something in wanted; NOBODY. */
static uint32_t choose_useful(struct world *w, const struct child *c, const uint64_t *wanted)
{
	uint32_t chosen = NOBODY;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < c->feeder_count; i++) {
		const struct feeder *f = &c->feeders[i];
		uint64_t any = 0;

		for (uint32_t k = 0; k < w->words && !f->dropped && !any; k++)
			any = f->told[k] & wanted[k];
		if (!any)
			continue;
		sum += weight(w, f);
		if (world_random(w) % sum < weight(w, f))
			chosen = i;
	}
	return chosen;
}

/* ---- flows */

static uint32_t uplink(uint32_t host)
{
	return 2 * host;
}

static void start(struct world *w, struct child *c, struct flow *f, uint32_t from, uint32_t piece,
		  uint32_t feeder)
{
	const struct sim_host *a = &w->hosts[from], *b = &w->hosts[c->host];

	*f = (struct flow){.busy = true, .from = from, .piece = piece, .feeder = feeder};
	f->links[f->link_count++] = uplink(from);
	f->links[f->link_count++] = uplink(c->host) + 1;
	if (w->sc->oversubscribed > 0 && from != ORIGIN && a->rack != b->rack) {
		f->links[f->link_count++] = 2 * w->host_count + 2 * a->rack;
		f->links[f->link_count++] = 2 * w->host_count + 2 * b->rack + 1;
	}
	f->left = (float)world_piece_bytes(w, piece);
	f->asked_us = w->now_us;
	f->ready_us = w->now_us + 2 * w->latency_us;
	bit_set(c->flight, piece);
	c->busy++;
	w->hosts[from].uploads++;
	if (feeder != NOBODY)
		c->feeders[feeder].in_flight++;
}

static bool fetch_from_parent(struct world *w, struct child *c, struct flow *f)
{
	uint64_t *sets[3] = {w->bits, w->bits + w->words, w->bits + 2 * w->words};
	uint32_t piece, feeder;

	if (!count_holders(w, c, sets))
		return false;
	feeder = NOBODY;
	if (w->sc->parent_first) {
		feeder = choose_useful(w, c, sets[0]);
		for (unsigned i = 0; i < 3; i++)
			for (uint32_t k = 0; k < w->words; k++)
				sets[i][k] &= c->feeders[feeder].told[k];
	}
	piece = choose_piece(w, sets);
	if (feeder == NOBODY)
		feeder = choose_feeder(w, c, piece, NOBODY);
	start(w, c, f, w->children[c->feeders[feeder].child].host, piece, feeder);
	return true;
}

static bool fetch_from_origin(struct world *w, struct child *c, struct flow *f)
{
	for (uint32_t i = 0; i < w->pieces; i++) {
		if (bit_get(c->have, i) || bit_get(c->flight, i))
			continue;
		start(w, c, f, ORIGIN, i, NOBODY);
		return true;
	}
	return false;
}

/* Asks a second parent for a piece that takes twice as long as they mostly do, when nothing else is
 * left to ask for. */
static bool fetch_again(struct world *w, struct child *c, struct flow *f)
{
	if (w->pieces - c->done > w->sc->hands || c->done == 0)
		return false;
	for (unsigned i = 0; i < w->sc->hands; i++) {
		const struct flow *g = &c->hands[i];
		unsigned times = 0;
		uint32_t feeder;

		if (!g->busy || w->now_us - g->asked_us < 2 * c->cost_us / c->done)
			continue;
		for (unsigned j = 0; j < w->sc->hands; j++)
			times += c->hands[j].busy && c->hands[j].piece == g->piece;
		feeder = choose_feeder(w, c, g->piece, g->feeder);
		if (times > 1 || feeder == NOBODY)
			continue;
		start(w, c, f, w->children[c->feeders[feeder].child].host, g->piece, feeder);
		return true;
	}
	return false;
}

/* ---- deciding */

static int64_t patience_us(const struct world *w)
{
	int64_t s = 5 + (w->piece_length >> 20);

	return UNREAD_PATIENCE * (s < 30 ? s : 30) * 1000000;
}

/* Nothing under way, and no parent has what is missing. */
static void despair(struct world *w, struct child *c)
{
	bool live = false;

	for (uint32_t i = 0; i < c->feeder_count; i++)
		live |= !c->feeders[i].dropped;
	if (c->asked || (live && w->now_us < c->progress_us + patience_us(w)))
		return;
	if (c->reschedules++ >= RESCHEDULES_MAX) {
		to_origin(w, c);
		return;
	}
	w->tally.reschedules++;
	c->asked = true;
	c->progress_us = w->now_us;
	talk_say(w, c, SAY_RESCHEDULE, 0);
}

/* Half the hands fill the link: parents should rather tell somebody else. */
static void tell_full(struct world *w, struct child *c)
{
	bool is_full = 2 * c->busy >= w->sc->hands;

	if (is_full == c->is_full || w->now_us < c->full_us + TELL_FULL_US)
		return;
	c->is_full = is_full;
	c->full_us = w->now_us;
}

void child_act(struct world *w, struct child *c)
{
	if (c->mode != PARENTS && c->mode != FROM_ORIGIN)
		return;
	drop_dead(w, c);
	for (unsigned i = 0; i < w->sc->hands && c->busy < w->sc->hands; i++) {
		bool from_origin = c->mode == FROM_ORIGIN && c->busy < ORIGIN_HANDS;
		struct flow *f = &c->hands[i];

		if (!f->busy && !fetch_from_parent(w, c, f) &&
		    !(from_origin && fetch_from_origin(w, c, f)) &&
		    !(w->sc->endgame && fetch_again(w, c, f)))
			break;
	}
	tell_full(w, c);
	if (c->mode == PARENTS && c->busy == 0)
		despair(w, c);
}

/* ---- what arrives */

static void give_back(const struct world *w, struct child *c, const struct flow *f)
{
	for (unsigned i = 0; i < w->sc->hands; i++)
		if (c->hands[i].busy && c->hands[i].piece == f->piece)
			return;
	bit_clear(c->flight, f->piece);
	bit_clear(c->coming, f->piece);
}

static void feeder_failed(struct world *w, struct child *c, const struct flow *f)
{
	if (f->feeder == NOBODY)
		return;
	c->feeders[f->feeder].dropped = true;
	talk_say(w, c, SAY_PIECE_FAILED, f->piece)->parents[0] = c->feeders[f->feeder].child;
}

void child_stop(struct world *w, struct child *c)
{
	for (unsigned i = 0; i < w->sc->hands; i++) {
		if (c->hands[i].busy)
			w->hosts[c->hands[i].from].uploads--;
		c->hands[i].busy = false;
	}
	c->busy = 0;
}

static void finish(struct world *w, struct child *c)
{
	child_stop(w, c);
	talk_say(w, c, SAY_FINISHED, 0);
	world_retire(w, c, DONE);
}

static void end_flow(struct world *w, struct child *c, struct flow *f)
{
	assert(f->busy);
	f->busy = false;
	c->busy--;
	w->hosts[f->from].uploads--;
	if (f->feeder != NOBODY)
		c->feeders[f->feeder].in_flight--;
}

void child_lost(struct world *w, struct child *c, struct flow *f)
{
	end_flow(w, c, f);
	give_back(w, c, f);
	coming_lost(w, c, f);
}

void child_arrived(struct world *w, struct child *c, struct flow *f)
{
	const struct sim_host *from = &w->hosts[f->from];

	end_flow(w, c, f);
	if (from->is_dead || from->is_liar) {
		w->tally.corrupt += from->is_liar;
		give_back(w, c, f);
		feeder_failed(w, c, f);
		return;
	}
	if (bit_get(c->have, f->piece)) {
		w->tally.wasted_bytes += world_piece_bytes(w, f->piece);
		return;
	}
	bit_clear(c->flight, f->piece);
	bit_set(c->have, f->piece);
	c->done++;
	c->cost_us += w->now_us - f->asked_us;
	c->progress_us = w->now_us;
	talk_say(w, c, SAY_PIECE, f->piece)->parents[0] =
		(uint32_t)((w->now_us - f->asked_us) / 1000);
	news_add(w, c, f->piece);
	if (c->done == w->pieces)
		finish(w, c);
}
