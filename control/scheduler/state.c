/* The tables of hosts, tasks and peers and the states of a peer. Decisions are schedule.c's. */
#include "control/scheduler/state.h"

#include "base/mem.h"

#include <assert.h>
#include <string.h>

void state_init(struct state *s, const struct state_config *c, const struct state_ops *ops)
{
	*s = (struct state){
		.config = *c,
		.ops = *ops,
		.hosts = map_new(),
		.tasks = map_new(),
		.peers = map_new(),
		.random = c->random_seed | 1,
	};
	list_init(&s->waiting_tasks);
}

/* ---- hosts */

static void host_free(struct host *h)
{
	free(h->id);
	free(h->hostname);
	free(h->ip);
	free(h->idc);
	free(h->location);
	free(h->place);
	free(h->os);
	free(h->version);
	free(h);
}

struct host *state_host(struct state *s, const char *id)
{
	return map_get(s->hosts, id);
}

void host_set_text(char **field, const char *text)
{
	if (*field && strcmp(*field, text) == 0)
		return;
	free(*field);
	*field = mem_strdup(text);
}

struct host *state_host_announce(struct state *s, const char *id, int64_t now_ms)
{
	struct host *h = state_host(s, id);

	if (!h) {
		h = mem_new(struct host);
		h->id = mem_strdup(id);
		h->hostname = mem_strdup("");
		h->ip = mem_strdup("");
		h->idc = mem_strdup("");
		h->location = mem_strdup("");
		h->os = mem_strdup("");
		h->version = mem_strdup("");
		list_init(&h->peers);
		map_put(s->hosts, id, h);
	}
	h->announced_ms = now_ms;
	return h;
}

void state_host_remove(struct state *s, struct host *h, int64_t now_ms)
{
	while (!list_empty(&h->peers))
		state_peer_remove(s, list_entry(h->peers.next, struct peer, host_link), now_ms);
	map_remove(s->hosts, h->id);
	host_free(h);
}

/* ---- tasks */

static void task_free(struct task *t)
{
	free(t->id);
	free(t->url);
	free(t->digest);
	free(t->tag);
	free(t->application);
	free(t->peers);
	free(t->holders);
	crowds_free(t);
	free(t);
}

struct task *state_task(struct state *s, const char *id)
{
	return map_get(s->tasks, id);
}

struct task *state_task_make(struct state *s, const char *id, uint64_t content_length,
			     uint32_t piece_length, int64_t now_ms)
{
	struct task *t = mem_new(struct task);

	assert(piece_length > 0);
	t->id = mem_strdup(id);
	t->content_length = content_length;
	t->piece_length = piece_length;
	t->piece_count = (uint32_t)((content_length + piece_length - 1) / piece_length);
	t->created_ms = t->updated_ms = now_ms;
	list_init(&t->waiting);
	list_init(&t->waiting_link);
	map_put(s->tasks, id, t);
	return t;
}

void state_task_remove(struct state *s, struct task *t)
{
	while (t->peer_count)
		state_peer_remove(s, t->peers[t->peer_count - 1], t->updated_ms);
	list_remove(&t->waiting_link);
	map_remove(s->tasks, t->id);
	task_free(t);
}

bool task_has_available_peer(const struct task *t)
{
	return t->in_state[PEER_RUNNING] + t->in_state[PEER_SUCCEEDED] +
		       t->in_state[PEER_BACK_TO_SOURCE] >
	       0;
}

const char *task_state_name(const struct task *t)
{
	if (t->in_state[PEER_SUCCEEDED] > 0)
		return "Succeeded";
	return t->peer_count > t->in_state[PEER_FAILED] ? "Running" : "Pending";
}

/* ---- peers */

static void peer_free(struct peer *p)
{
	map_free(p->blocked);
	free(p->edges);
	free(p->pieces);
	free(p->id);
	free(p);
}

struct peer *state_peer(struct state *s, const char *id)
{
	return map_get(s->peers, id);
}

static void task_add_peer(struct task *t, struct peer *p)
{
	if (t->peer_count == t->peer_cap) {
		t->peer_cap = t->peer_cap ? t->peer_cap * 2 : 8;
		t->peers = mem_realloc(t->peers, t->peer_cap * sizeof(*t->peers));
	}
	p->index = t->peer_count;
	t->peers[t->peer_count++] = p;
	t->in_state[p->state]++;
}

static void task_put(struct task *t, struct peer *p, uint32_t index)
{
	t->peers[index] = p;
	p->index = index;
}

/* A runner with nothing yet and nobody to get it from is no help. */
static bool is_able(const struct peer *p)
{
	switch (p->state) {
	case PEER_BACK_TO_SOURCE:
	case PEER_SUCCEEDED:
		return true;
	case PEER_RUNNING:
		return p->parent_count > 0 || p->finished_pieces > 0;
	case PEER_RECEIVED:
		return p->parent_count > 0;
	default:
		return false;
	}
}

void task_sort(struct peer *p)
{
	struct task *t = p->task;
	bool able = is_able(p);
	uint32_t from = p->index, to;

	if (able)
		crowd_enter(p);
	else
		crowd_leave(p);
	if (able == (from < t->able_count))
		return;
	to = able ? t->able_count++ : --t->able_count;
	task_put(t, t->peers[to], from);
	task_put(t, p, to);
}

/* After its edges are gone and its state is one of the unable. */
static void task_remove_peer(struct task *t, struct peer *p)
{
	t->in_state[p->state]--;
	p->state = PEER_FAILED;
	task_sort(p);
	task_put(t, t->peers[--t->peer_count], p->index);
}

struct peer *state_peer_make(struct state *s, const char *id, struct host *h, struct task *t,
			     int64_t now_ms)
{
	struct peer *p = state_peer(s, id);

	if (p)
		return p->host == h && p->task == t ? p : NULL;
	p = mem_new(struct peer);
	p->id = mem_strdup(id);
	p->host = h;
	p->task = t;
	p->created_ms = p->updated_ms = now_ms;
	list_init(&p->wait_link);
	list_init(&p->host_link);
	list_init(&p->children);
	list_push_back(&h->peers, &p->host_link);
	task_add_peer(t, p);
	map_put(s->peers, id, p);
	return p;
}

void task_source_add(struct peer *p, int64_t now_ms)
{
	if (p->told_source)
		return;
	p->told_source = true;
	p->task->source_count++;
	if (p->host->disable_shared)
		return;
	p->is_feeder = true;
	p->task->feeder_count++;
	p->task->feeder_told_ms = now_ms;
}

void task_source_remove(struct peer *p)
{
	if (p->told_source)
		p->task->source_count--;
	if (p->is_feeder)
		p->task->feeder_count--;
	p->told_source = p->is_feeder = false;
}

void state_peer_remove(struct state *s, struct peer *p, int64_t now_ms)
{
	struct task *t = p->task;

	task_source_remove(p);
	graph_unlink_parents(p);
	graph_unlink_children(p);
	holdings_drop(p);
	list_remove(&p->wait_link);
	list_remove(&p->host_link);
	task_remove_peer(t, p);
	map_remove(s->peers, p->id);
	s->ops.removed(p, s->ops.arg);
	peer_free(p);
	state_wake(s, t, now_ms);
}

void state_peer_supersede(struct state *s, struct peer *p, int64_t now_ms)
{
	list_each_safe (it, &p->host->peers) {
		struct peer *other = list_entry(it, struct peer, host_link);

		if (other != p && other->task == p->task && !other->stream)
			state_peer_remove(s, other, now_ms);
	}
}

/* Which states an event may be met in, and where it leads. */
static const struct {
	unsigned from; /* bit set of states */
	enum peer_state to;
} transitions[] = {
#define IN(state) (1u << (state))
	[PEER_EVENT_REGISTER] = {IN(PEER_PENDING) | IN(PEER_RECEIVED) | IN(PEER_RUNNING) |
					 IN(PEER_FAILED),
				 PEER_RECEIVED},
	[PEER_EVENT_STARTED] = {IN(PEER_RECEIVED) | IN(PEER_RUNNING), PEER_RUNNING},
	[PEER_EVENT_BACK_TO_SOURCE] = {IN(PEER_RECEIVED) | IN(PEER_RUNNING) |
					       IN(PEER_BACK_TO_SOURCE),
				       PEER_BACK_TO_SOURCE},
	[PEER_EVENT_FINISHED] = {IN(PEER_RECEIVED) | IN(PEER_RUNNING) | IN(PEER_BACK_TO_SOURCE) |
					 IN(PEER_SUCCEEDED),
				 PEER_SUCCEEDED},
	[PEER_EVENT_FAILED] = {~0u, PEER_FAILED},
#undef IN
};

static void move_to(struct peer *p, enum peer_state state)
{
	p->task->in_state[p->state]--;
	p->task->in_state[state]++;
	p->state = state;
	task_sort(p);
}

bool state_peer_event(struct state *s, struct peer *p, enum peer_event event, int64_t now_ms)
{
	enum peer_state before = p->state;

	if (!(transitions[event].from & (1u << p->state)))
		return false;
	move_to(p, transitions[event].to);
	p->updated_ms = p->task->updated_ms = now_ms;
	if (p->state == PEER_SUCCEEDED || p->state == PEER_FAILED ||
	    p->state == PEER_BACK_TO_SOURCE)
		graph_unlink_parents(p);
	if (p->state == PEER_BACK_TO_SOURCE)
		task_source_add(p, now_ms);
	if (p->state == PEER_SUCCEEDED || p->state == PEER_FAILED) {
		task_source_remove(p);
		list_remove(&p->wait_link);
		holdings_drop(p);
	}
	/* A peer that asks is no news to others who ask. */
	if (event != PEER_EVENT_REGISTER)
		state_wake(s, p->task, now_ms);
	/* One that ran is known to others already. */
	if (peer_is_source(p) && before == PEER_RECEIVED)
		state_offer(s, p);
	return true;
}

static void add_cost(struct costs *c, uint32_t cost_ms)
{
	/* The last so far becomes one of those before. */
	if (c->count > 0) {
		double delta = c->last_ms - c->mean;

		c->mean += delta / c->count;
		c->m2 += delta * (c->last_ms - c->mean);
	}
	c->count++;
	c->last_ms = cost_ms;
}

bool state_peer_is_slow(const struct peer *p)
{
	const struct costs *c = &p->costs;

	return pick_is_slow(c->count, c->mean, c->count > 1 ? c->m2 / (c->count - 1) : 0,
			    c->last_ms);
}

void state_peer_piece(struct state *s, struct peer *p, uint32_t index, uint32_t cost_ms,
		      int64_t now_ms)
{
	bool first = p->finished_pieces == 0;

	p->finished_pieces++;
	p->updated_ms = p->task->updated_ms = now_ms;
	if (cost_ms)
		add_cost(&p->costs, cost_ms);
	holdings_add(p, index);
	task_sort(p);
	/* With its first piece a peer becomes worth asking. */
	if (first)
		state_wake(s, p->task, now_ms);
}

void state_peer_block(struct peer *p, const char *parent_id)
{
	if (!p->blocked)
		p->blocked = map_new();
	map_put(p->blocked, parent_id, p);
}

bool state_peer_is_blocked(const struct peer *p, const char *parent_id)
{
	return p->blocked && map_get(p->blocked, parent_id);
}

bool peer_is_source(const struct peer *p)
{
	return p->state == PEER_BACK_TO_SOURCE || p->state == PEER_SUCCEEDED;
}

const char *peer_state_name(enum peer_state s)
{
	static const char *const names[] = {"Pending",	    "ReceivedNormal", "Running",
					    "BackToSource", "Succeeded",      "Failed"};

	return names[s];
}

void state_release(struct state *s)
{
	size_t at = 0;
	const char *id;
	void *value;

	while (map_next(s->tasks, &at, &id, &value))
		task_free(value);
	at = 0;
	while (map_next(s->peers, &at, &id, &value))
		peer_free(value);
	at = 0;
	while (map_next(s->hosts, &at, &id, &value))
		host_free(value);
	map_free(s->tasks);
	map_free(s->peers);
	map_free(s->hosts);
}
