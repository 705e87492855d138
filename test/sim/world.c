/* Hosts, links and the loop of the virtual clock. */
#include "test/sim/world.h"

#include "base/geometry.h"
#include "base/mem.h"

#include <assert.h>
#include <string.h>

#define MBIT		 (1e6 / 8)
#define TIMELINE_MAX	 3600
#define SECOND		 1000000
#define STEP_MAX_US	 2000
#define STEPS_OF_A_PIECE 16

/* splitmix64 */
uint64_t world_random(struct world *w)
{
	uint64_t x = w->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static bool draw(struct world *w, double fraction)
{
	return (double)(world_random(w) >> 11) * 0x1p-53 < fraction;
}

struct child *world_child(struct world *w, uint32_t host, uint32_t task)
{
	return &w->children[(host - 1) * w->sc->tasks + task];
}

uint32_t world_index(const struct world *w, const struct child *c)
{
	return (uint32_t)(c - w->children);
}

uint32_t world_piece_bytes(const struct world *w, uint32_t index)
{
	const struct geometry g = {w->sc->size, w->piece_length, w->pieces};

	return geometry_length(&g, index);
}

/* ---- building */

static void make_host(struct world *w, uint32_t i)
{
	const struct scenario *sc = w->sc;
	struct sim_host *h = &w->hosts[i];
	double mbit = i == ORIGIN ? sc->origin_mbit : sc->link_mbit;

	h->is_seed = i > 0 && i <= sc->seeds;
	h->rack = i % sc->racks;
	if (h->is_seed)
		mbit = sc->seed_mbit;
	if (i > sc->seeds) {
		h->is_slow = draw(w, sc->slow);
		h->is_liar = !h->is_slow && draw(w, sc->liars);
	}
	h->up = h->down = mbit * MBIT / (h->is_slow ? sc->slow_by : 1);
	net_set(w->net, 2 * i, h->up);
	net_set(w->net, 2 * i + 1, h->down);
}

static void make_racks(struct world *w)
{
	const struct scenario *sc = w->sc;
	double hosts = (double)w->host_count / sc->racks;

	if (sc->oversubscribed <= 0)
		return;
	for (uint32_t i = 0; i < 2 * sc->racks; i++)
		net_set(w->net, 2 * w->host_count + i,
			hosts * sc->link_mbit * MBIT / sc->oversubscribed);
}

static void make_children(struct world *w)
{
	size_t each = (size_t)(5 + 2 * FEEDERS_MAX) * w->words;
	uint64_t *bits = mem_array(w->child_count * each, sizeof(*bits));

	for (uint32_t i = 0; i < w->child_count; i++) {
		struct child *c = &w->children[i];

		c->host = 1 + i / w->sc->tasks;
		c->task = i % w->sc->tasks;
		c->have = bits + i * each;
		c->flight = c->have + w->words;
		c->coming = c->flight + w->words;
		c->once = c->coming + w->words;
		c->often = c->once + w->words;
		for (uint32_t k = 0; k < FEEDERS_MAX; k++) {
			c->feeders[k].told = c->often + (2 * k + 1) * w->words;
			c->feeders[k].under_way = c->feeders[k].told + w->words;
		}
	}
}

/* Seeds that have everything already: they announce it, as after a preheat. */
static void warm_up(struct world *w)
{
	for (uint32_t task = 0; task < w->sc->tasks; task++) {
		for (uint32_t host = 1; host <= w->sc->seeds; host++) {
			struct child *c = world_child(w, host, task);

			for (uint32_t i = 0; i < w->pieces; i++)
				bit_set(c->have, i);
			c->done = w->pieces;
			c->mode = DONE;
			talk_say(w, c, SAY_REGISTER, true);
			talk_say(w, c, SAY_FINISHED, 0);
		}
	}
}

/* What a flow leaves of its last step nobody else gets: a step is short against a piece's time on
 * an idle link, whatever the link's rate. */
static int64_t step_of(const struct world *w)
{
	double piece_us = w->piece_length / (w->sc->link_mbit * MBIT) * 1e6;
	int64_t step_us = (int64_t)(piece_us / STEPS_OF_A_PIECE);

	return step_us < STEP_MAX_US ? step_us : STEP_MAX_US;
}

struct world *world_new(const struct scenario *sc, const struct state_config *config, uint64_t seed)
{
	struct world *w = mem_new(struct world);

	w->sc = sc;
	w->random = seed;
	w->piece_length = geometry_piece_length(sc->size);
	w->pieces = (uint32_t)((sc->size + w->piece_length - 1) / w->piece_length);
	w->words = (w->pieces + 63) / 64;
	w->host_count = 1 + sc->seeds + sc->peers;
	w->child_count = (w->host_count - 1) * sc->tasks;
	w->hosts = mem_array(w->host_count, sizeof(*w->hosts));
	w->children = mem_array(w->child_count, sizeof(*w->children));
	w->active = mem_array(w->child_count, sizeof(*w->active));
	w->herald = mem_array(w->child_count, sizeof(*w->herald));
	w->bits = mem_array(3 * w->words, sizeof(*w->bits));
	w->timeline = mem_array(TIMELINE_MAX, sizeof(*w->timeline));
	w->net = net_new(2 * w->host_count + 2 * sc->racks);
	w->latency_us = (int64_t)(sc->latency_ms * 1000);
	w->step_us = step_of(w);
	mail_init(&w->to_scheduler);
	mail_init(&w->to_child);
	mail_init(&w->announced);
	for (uint32_t i = 0; i < w->host_count; i++)
		make_host(w, i);
	make_racks(w);
	make_children(w);
	talk_open(w, config);
	if (sc->seed_warm)
		warm_up(w);
	return w;
}

void world_free(struct world *w)
{
	state_release(&w->state);
	mail_release(&w->to_scheduler);
	mail_release(&w->to_child);
	mail_release(&w->announced);
	net_free(w->net);
	for (uint32_t i = 0; i < w->child_count; i++)
		free(w->children[i].listeners);
	free(w->children[0].have);
	free(w->children);
	free(w->hosts);
	free(w->active);
	free(w->herald);
	free(w->bits);
	free(w->timeline);
	free(w);
}

/* ---- coming and going */

void world_retire(struct world *w, struct child *c, enum child_mode mode)
{
	c->mode = mode;
	c->ended_us = w->now_us;
	if (w->hosts[c->host].is_seed)
		mail_post(&w->to_scheduler, w->now_us + w->latency_us, SEED_ENDED,
			  world_index(w, c), mode == DONE);
	else
		w->ended++;
}

static void join(struct world *w)
{
	while (w->joined < w->sc->peers &&
	       w->now_us >= (int64_t)(w->sc->join_s * 1e6 * w->joined / w->sc->peers)) {
		uint32_t host = 1 + w->sc->seeds + w->joined++;

		for (uint32_t task = 0; task < w->sc->tasks; task++)
			child_begin(w, world_child(w, host, task), false);
		if (draw(w, w->sc->leave))
			w->hosts[host].dies_us =
				w->now_us + (int64_t)(world_random(w) % (10 * SECOND));
	}
}

/* Its flows end with it, its streams break. */
static void kill_host(struct world *w, uint32_t host)
{
	w->hosts[host].is_dead = true;
	for (uint32_t task = 0; task < w->sc->tasks; task++) {
		struct child *c = world_child(w, host, task);

		if (c->mode == ABSENT || c->mode == DONE)
			continue;
		child_stop(w, c);
		talk_say(w, c, SAY_GONE, 0);
		world_retire(w, c, DEAD);
	}
}

static void kill_who_is_due(struct world *w)
{
	if (w->sc->kill_seed_at > 0 && !w->seed_was_killed &&
	    world_child(w, 1, 0)->done >= w->sc->kill_seed_at * w->pieces) {
		w->seed_was_killed = true;
		kill_host(w, 1);
	}
	if (w->sc->leave <= 0)
		return;
	for (uint32_t i = 1; i < w->host_count; i++)
		if (w->hosts[i].dies_us && w->now_us >= w->hosts[i].dies_us && !w->hosts[i].is_dead)
			kill_host(w, i);
}

/* ---- the loop */

static void rates(struct world *w)
{
	if (w->now_us < w->rates_us)
		return;
	for (uint32_t i = 1; i < w->host_count; i++) {
		struct sim_host *h = &w->hosts[i];

		h->tx = (double)(h->sent - h->sent_before);
		h->sent_before = h->sent;
	}
	w->rates_us = w->now_us + SECOND;
}

static void drop_ended(struct world *w)
{
	for (uint32_t i = 0; i < w->active_count;) {
		enum child_mode mode = w->children[w->active[i]].mode;

		if (mode == DONE || mode == FAILED || mode == DEAD)
			w->active[i] = w->active[--w->active_count];
		else
			i++;
	}
}

static void spread_news(struct world *w)
{
	for (uint32_t i = 0; i < w->herald_count;) {
		struct child *c = &w->children[w->herald[i]];

		c->has_news = c->mode != DEAD && news_tell(w, c);
		if (!c->has_news)
			w->herald[i] = w->herald[--w->herald_count];
		else
			i++;
	}
}

static void move_flow(struct world *w, struct child *c, struct flow *f)
{
	float bytes = net_move(w->net, f, (double)w->step_us * 1e-6);
	uint32_t second = (uint32_t)(w->now_us / SECOND);

	w->hosts[f->from].sent += (uint64_t)bytes;
	if (f->from == ORIGIN)
		w->tally.origin_bytes += (uint64_t)bytes;
	else
		w->tally.peer_bytes += (uint64_t)bytes;
	if (f->from != ORIGIN && w->hosts[f->from].rack != w->hosts[c->host].rack)
		w->tally.rack_bytes += (uint64_t)bytes;
	if (f->from != ORIGIN && second < TIMELINE_MAX) {
		w->timeline[second] += bytes;
		w->timeline_count = second + 1;
	}
	if (f->left <= 0)
		child_arrived(w, c, f);
	else
		coming_moved(w, c, f);
}

static void move(struct world *w)
{
	net_begin(w->net);
	for (uint32_t i = 0; i < w->active_count; i++) {
		struct child *c = &w->children[w->active[i]];

		for (unsigned k = 0; c->busy && k < w->sc->hands; k++) {
			struct flow *f = &c->hands[k];

			if (f->busy && w->hosts[f->from].is_dead)
				child_arrived(w, c, f);
			else if (f->busy && w->now_us >= f->ready_us && coming_limits(w, c, f))
				net_ask(w->net, f);
			else if (f->busy && w->now_us >= f->ready_us)
				child_lost(w, c, f);
		}
	}
	net_settle(w->net);
	for (uint32_t i = 0; i < w->active_count; i++) {
		struct child *c = &w->children[w->active[i]];

		for (unsigned k = 0; c->busy && k < w->sc->hands; k++)
			if (c->hands[k].busy && w->now_us >= c->hands[k].ready_us)
				move_flow(w, c, &c->hands[k]);
	}
}

bool world_run(struct world *w, double limit_s)
{
	uint32_t all = w->sc->peers * w->sc->tasks;

	for (; w->ended < all; w->now_us += w->step_us) {
		if ((double)w->now_us * 1e-6 > limit_s)
			return false;
		join(w);
		kill_who_is_due(w);
		talk_deliver(w);
		for (uint32_t i = 0; i < w->active_count; i++)
			child_act(w, &w->children[w->active[i]]);
		move(w);
		spread_news(w);
		drop_ended(w);
		rates(w);
	}
	return true;
}
