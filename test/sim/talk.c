/* The scheduler's side: letters become calls of state_...(), its answers letters. */
#include "test/sim/world.h"

#include "base/mem.h"

#include <stdio.h>
#include <time.h>

#define TICK_US 50000
#define GC_US	10000000

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void account(struct world *w, double began_s)
{
	double s = cpu_s() - began_s;

	w->tally.scheduler_s += s;
	if (s > w->tally.longest_s)
		w->tally.longest_s = s;
}

struct letter *talk_say(struct world *w, const struct child *c, enum letter_what what, uint32_t arg)
{
	return mail_post(&w->to_scheduler, w->now_us + w->latency_us, what, world_index(w, c), arg);
}

/* ---- the scheduler's answers */

static void on_answer(struct peer *p, enum answer a, struct peer *const *parents, unsigned count,
		      const char *why, void *arg)
{
	static const uint32_t what[] = {HEAR_PARENTS, HEAR_SOURCE, HEAR_REFUSED, HEAR_REFUSED};
	struct world *w = arg;
	struct child *c = p->stream;
	struct letter *l;

	(void)why;
	if (!c)
		return;
	l = mail_post(&w->to_child, w->now_us + w->latency_us, what[a], world_index(w, c), 0);
	for (unsigned i = 0; i < count; i++)
		if (parents[i]->stream)
			l->parents[l->parent_count++] = world_index(w, parents[i]->stream);
}

static bool on_ask_seed(struct task *t, const struct peer *p, void *arg)
{
	struct world *w = arg;
	const struct child *asking = p->stream;

	(void)t;
	for (uint32_t i = 0; i < w->sc->seeds; i++) {
		uint32_t host = 1 + (asking->task + i) % w->sc->seeds;

		if (w->hosts[host].is_dead)
			continue;
		mail_post(&w->to_child, w->now_us + w->latency_us, HEAR_SEED,
			  world_index(w, world_child(w, host, asking->task)), 0);
		return true;
	}
	return false;
}

static void on_removed(struct peer *p, void *arg)
{
	struct child *c = p->stream;

	(void)arg;
	if (c)
		c->peer = NULL;
}

void talk_open(struct world *w, const struct state_config *config)
{
	const struct state_ops ops = {on_answer, on_ask_seed, on_removed, w};
	char text[64], location[32];

	state_init(&w->state, config, &ops);
	for (uint32_t i = 1; i < w->host_count; i++) {
		struct sim_host *h = &w->hosts[i];

		snprintf(text, sizeof(text), "10.%u.%u.%u-host-%06u", i >> 16, i >> 8 & 255,
			 i & 255, i);
		h->known = state_host_announce(&w->state, text, 0);
		h->known->type = h->is_seed;
		h->known->takes_more = true;
		h->known->tx_max = (uint64_t)h->up;
		h->known->interval_ms = 3600000;
		snprintf(text, sizeof(text), "idc-%u", h->rack % w->sc->idcs);
		snprintf(location, sizeof(location), "zone|rack-%u", h->rack);
		host_move(h->known, text, location);
	}
}

/* ---- the children's letters */

static void on_register(struct world *w, struct child *c, bool from_origin, int64_t now_ms)
{
	char task[80], id[120];
	struct task *t;

	snprintf(task, sizeof(task), "%064u", c->task);
	t = state_task(&w->state, task);
	if (!t)
		t = state_task_make(&w->state, task, w->sc->size, w->piece_length, now_ms);
	snprintf(id, sizeof(id), "%s-0b5d6f3e-7a55-4b1c-9e0a-%012u", w->hosts[c->host].known->id,
		 world_index(w, c));
	c->peer = state_peer_make(&w->state, id, w->hosts[c->host].known, t, now_ms);
	c->peer->stream = c;
	c->peer->concurrent_pieces = w->sc->hands;
	c->peer->may_back_to_source = true;
	c->peer->need_back_to_source = from_origin;
	state_peer_event(&w->state, c->peer, PEER_EVENT_REGISTER, now_ms);
	state_schedule(&w->state, c->peer, now_ms);
}

static void on_reschedule(struct world *w, struct child *c, int64_t now_ms)
{
	for (uint32_t i = 0; i < c->feeder_count; i++)
		if (w->children[c->feeders[i].child].peer)
			state_peer_block(c->peer, w->children[c->feeders[i].child].peer->id);
	state_peer_event(&w->state, c->peer, PEER_EVENT_REGISTER, now_ms);
	state_schedule(&w->state, c->peer, now_ms);
}

static void seed_ended(struct world *w, const struct child *c, bool well, int64_t now_ms)
{
	char task[80];

	snprintf(task, sizeof(task), "%064u", c->task);
	if (!well)
		w->hosts[c->host].known->unhealthy = true;
	state_seed_ended(&w->state, task, well, now_ms);
}

static void deliver(struct world *w, const struct letter *l)
{
	struct child *c = &w->children[l->child];
	int64_t now_ms = w->now_us / 1000;
	struct peer *p = c->peer, *parent;

	if (l->what == SAY_REGISTER) {
		on_register(w, c, l->arg, now_ms);
		return;
	}
	if (l->what == SEED_ENDED) {
		seed_ended(w, c, l->arg, now_ms);
		return;
	}
	if (!p)
		return;
	switch (l->what) {
	case SAY_STARTED:
		state_peer_event(&w->state, p, PEER_EVENT_STARTED, now_ms);
		break;
	case SAY_SOURCE:
		state_peer_event(&w->state, p, PEER_EVENT_BACK_TO_SOURCE, now_ms);
		break;
	case SAY_PIECE:
		state_peer_piece(&w->state, p, l->arg, l->parents[0], now_ms);
		break;
	case SAY_PIECE_FAILED:
		parent = w->children[l->parents[0]].peer;
		if (parent)
			state_peer_block(p, parent->id);
		break;
	case SAY_RESCHEDULE:
		on_reschedule(w, c, now_ms);
		break;
	case SAY_FINISHED:
		state_peer_event(&w->state, p, PEER_EVENT_FINISHED, now_ms);
		break;
	default: /* SAY_GONE: as service.c does when a stream breaks */
		p->stream = NULL;
		c->peer = NULL;
		if (p->state != PEER_SUCCEEDED)
			state_peer_event(&w->state, p, PEER_EVENT_FAILED, now_ms);
	}
}

static void child_hears(struct world *w, const struct letter *l)
{
	struct child *c = &w->children[l->child];

	if (w->hosts[c->host].is_dead) {
		if (l->what == HEAR_SEED)
			talk_say(w, c, SEED_ENDED, false);
		return;
	}
	if (l->what == HEAR_SEED && c->mode == ABSENT)
		child_begin(w, c, true);
	else if (l->what == HEAR_SEED && c->mode == DONE)
		talk_say(w, c, SEED_ENDED, true);
	else if (l->what != HEAR_SEED)
		child_hear(w, c, l);
}

void talk_deliver(struct world *w)
{
	struct letter l;
	double began;

	while (mail_take(&w->to_scheduler, w->now_us, &l)) {
		w->tally.letters++;
		began = cpu_s();
		deliver(w, &l);
		account(w, began);
	}
	if (w->now_us >= w->tick_us) {
		began = cpu_s();
		state_tick(&w->state, w->now_us / 1000);
		if (w->now_us >= w->gc_us) {
			state_gc(&w->state, w->now_us / 1000);
			w->gc_us = w->now_us + GC_US;
		}
		account(w, began);
		w->tick_us = w->now_us + TICK_US;
	}
	while (mail_take(&w->to_child, w->now_us, &l))
		child_hears(w, &l);
	while (mail_take(&w->announced, w->now_us, &l))
		bit_set(w->children[l.child].feeders[l.arg].told, l.parents[0]);
}
