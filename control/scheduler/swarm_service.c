/*
 * skimmer.v1.Swarm: what people look at, bounded by what they ask for. The lock is held while the
 * answer is made: some milliseconds for 2,000 hosts.
 */
#include "control/scheduler/service_private.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/mem.h"
#include "skimmer_v1.pb-c.h"

#include <string.h>

#define HOSTS_MAX 10000
#define TASKS_MAX 1000
#define PEERS_MAX 1000
#define URL_MAX	  1024

#define PREHEATS_ASKED_MAX 1024
#define FAILURES_MAX	   16 /* of each task */

static void reply_free(struct rpc_call *call, ProtobufCMessage *m)
{
	rpc_call_reply(call, m);
	protobuf_c_message_free_unpacked(m, NULL);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static Skimmer__V1__Meter *meter_message(const struct meter *meter)
{
	Skimmer__V1__Meter *m = mem_new(Skimmer__V1__Meter);

	skimmer__v1__meter__init(m);
	m->bytes = meter->total;
	m->bytes_per_second = meter_rate(meter, clock_ms());
	return m;
}

/* ---- hosts and flows */

static Skimmer__V1__SwarmHost *host_message(const struct host *h)
{
	Skimmer__V1__SwarmHost *m = mem_new(Skimmer__V1__SwarmHost);

	skimmer__v1__swarm_host__init(m);
	m->id = mem_strdup(h->id);
	m->hostname = mem_strdup(h->hostname);
	m->ip = mem_strdup(h->ip);
	m->idc = mem_strdup(h->idc);
	m->location = mem_strdup(h->location);
	m->is_seed = h->type != 0;
	list_each (it, &h->peers) {
		enum peer_state state = list_entry(it, struct peer, host_link)->state;

		m->peer_count++;
		m->running_count += state == PEER_RUNNING || state == PEER_BACK_TO_SOURCE;
	}
	m->received = meter_message(&h->received);
	m->from_origin = meter_message(&h->from_origin);
	m->sent = meter_message(&h->sent);
	return m;
}

/* The hosts of an answer: their places, by id. */
struct places {
	Skimmer__V1__StatSwarmResponse *m;
	struct map *at; /* id -> (char *)m + place */
	size_t max;
};

static bool place_of(struct places *p, const struct host *h, uint32_t *out)
{
	const char *base = (const char *)p->m, *known = h ? map_get(p->at, h->id) : NULL;

	if (!h || (!known && p->m->n_hosts == p->max))
		return false;
	if (!known) {
		known = base + p->m->n_hosts;
		map_put(p->at, h->id, (void *)known);
		p->m->hosts[p->m->n_hosts++] = host_message(h);
	}
	*out = (uint32_t)(known - base);
	return true;
}

static void add_flow(struct service *s, struct places *p, const struct flow *f, int64_t now)
{
	Skimmer__V1__SwarmFlow *m;
	uint32_t parent, child;

	if (now - f->last_ms > FLOW_QUIET_MS ||
	    !place_of(p, state_host(&s->state, f->parent_id), &parent) ||
	    !place_of(p, state_host(&s->state, f->child_id), &child))
		return;
	m = mem_new(Skimmer__V1__SwarmFlow);
	skimmer__v1__swarm_flow__init(m);
	m->parent = parent;
	m->child = child;
	m->meter = meter_message(&f->meter);
	m->quiet_ms = now - f->last_ms;
	p->m->flows[p->m->n_flows++] = m;
}

/* Those who feed or are fed come first. */
static void add_hosts(struct service *s, const Skimmer__V1__StatSwarmRequest *rq,
		      Skimmer__V1__StatSwarmResponse *m)
{
	struct places p = {.m = m, .at = map_new()};
	size_t flows_max = least(rq->flows_max, map_count(s->traffic.flows)), at = 0;
	const char *id;
	uint32_t place;
	void *value;

	p.max = least(least(rq->hosts_max, HOSTS_MAX), map_count(s->state.hosts));
	m->hosts = mem_array(p.max + 1, sizeof(*m->hosts));
	m->flows = mem_array(flows_max + 1, sizeof(*m->flows));
	while (m->n_flows < flows_max && map_next(s->traffic.flows, &at, &id, &value))
		add_flow(s, &p, value, clock_ms());
	at = 0;
	while (m->n_hosts < p.max && map_next(s->state.hosts, &at, &id, &value))
		(void)place_of(&p, value, &place);
	map_free(p.at);
}

/* ---- tasks */

static uint32_t running_of(const struct task *t)
{
	return t->in_state[PEER_RUNNING] + t->in_state[PEER_BACK_TO_SOURCE];
}

static Skimmer__V1__SwarmTask *task_message(const struct task *t)
{
	Skimmer__V1__SwarmTask *m = mem_new(Skimmer__V1__SwarmTask);

	skimmer__v1__swarm_task__init(m);
	m->id = mem_strdup(t->id);
	m->url = mem_strndup(t->url ? t->url : "", t->url ? strnlen(t->url, URL_MAX) : 0);
	m->content_length = t->content_length;
	m->piece_length = t->piece_length;
	m->piece_count = t->piece_count;
	m->state = mem_strdup(task_state_name(t));
	m->peer_count = t->peer_count;
	m->running_count = running_of(t);
	m->finished_count = t->in_state[PEER_SUCCEEDED];
	m->updated_ms = clock_wall_ms() - (clock_ms() - t->updated_ms);
	return m;
}

static int newest_first(const void *a, const void *b)
{
	const struct task *const *x = a, *const *y = b;

	return (*x)->updated_ms < (*y)->updated_ms   ? 1
	       : (*x)->updated_ms > (*y)->updated_ms ? -1
						     : 0;
}

static void add_tasks(struct service *s, size_t max, Skimmer__V1__StatSwarmResponse *m)
{
	size_t count = map_count(s->state.tasks), at = 0, n = 0;
	const struct task **all cleanup(free_at) = mem_array(count + 1, sizeof(struct task *));
	const char *id;
	void *value;

	while (map_next(s->state.tasks, &at, &id, &value)) {
		all[n++] = value;
		m->running_count += running_of(value);
	}
	qsort(all, n, sizeof(*all), newest_first);
	m->n_tasks = least(least(max, TASKS_MAX), n);
	m->tasks = mem_array(m->n_tasks + 1, sizeof(*m->tasks));
	for (size_t i = 0; i < m->n_tasks; i++)
		m->tasks[i] = task_message(all[i]);
}

/* ---- the two calls */

static void add_sums(const struct service *s, Skimmer__V1__StatSwarmResponse *m)
{
	const struct traffic *t = &s->traffic;
	const char *id;
	void *value;
	size_t at = 0;

	m->started_ms = s->started_ms;
	m->nodes_from_nodes = meter_message(&t->nodes_from_nodes);
	m->nodes_from_seeds = meter_message(&t->nodes_from_seeds);
	m->nodes_from_origin = meter_message(&t->nodes_from_origin);
	m->seeds_from_hosts = meter_message(&t->seeds_from_hosts);
	m->seeds_from_origin = meter_message(&t->seeds_from_origin);
	m->host_count = (uint32_t)map_count(s->state.hosts);
	m->task_count = (uint32_t)map_count(s->state.tasks);
	m->peer_count = (uint32_t)map_count(s->state.peers);
	while (map_next(s->state.hosts, &at, &id, &value))
		m->seed_count += ((const struct host *)value)->type != 0;
}

static void stat_swarm(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Skimmer__V1__StatSwarmRequest *rq = (const void *)req;
	Skimmer__V1__StatSwarmResponse *m = mem_new(Skimmer__V1__StatSwarmResponse);
	struct service *s = arg;

	skimmer__v1__stat_swarm_response__init(m);
	lock_take(&s->lock);
	add_sums(s, m);
	add_tasks(s, rq->tasks_max, m);
	add_hosts(s, rq, m);
	lock_drop(&s->lock);
	reply_free(call, &m->base);
}

static void add_bitmap(const struct peer *p, Skimmer__V1__PiecesPeer *m)
{
	uint32_t count = p->task->piece_count;

	if (!p->pieces)
		return;
	m->pieces.len = (count + 7) / 8;
	m->pieces.data = mem_alloc(m->pieces.len + 1);
	memset(m->pieces.data, 0, m->pieces.len + 1);
	for (uint32_t i = 0; i < count; i++)
		if (bit_get(p->pieces, i))
			m->pieces.data[i / 8] |= (uint8_t)(1u << i % 8);
}

static Skimmer__V1__PiecesPeer *pieces_message(const struct peer *p)
{
	Skimmer__V1__PiecesPeer *m = mem_new(Skimmer__V1__PiecesPeer);

	skimmer__v1__pieces_peer__init(m);
	m->host_id = mem_strdup(p->host->id);
	m->hostname = mem_strdup(p->host->hostname);
	m->ip = mem_strdup(p->host->ip);
	m->is_seed = p->host->type != 0;
	m->state = mem_strdup(peer_state_name(p->state));
	m->has_all = p->state == PEER_SUCCEEDED;
	m->finished_count = m->has_all ? p->task->piece_count
				       : (uint32_t)least(p->finished_pieces, p->task->piece_count);
	add_bitmap(p, m);
	m->parents = mem_array(p->parent_count + 1, sizeof(*m->parents));
	for (; m->n_parents < p->parent_count; m->n_parents++)
		m->parents[m->n_parents] = mem_strdup(p->edges[m->n_parents].parent->host->id);
	return m;
}

static void stat_pieces(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Skimmer__V1__StatPiecesRequest *rq = (const void *)req;
	Skimmer__V1__StatPiecesResponse *m = mem_new(Skimmer__V1__StatPiecesResponse);
	size_t max = least(rq->peers_max, PEERS_MAX);
	struct service *s = arg;
	struct task *t;

	skimmer__v1__stat_pieces_response__init(m);
	lock_take(&s->lock);
	t = state_task(&s->state, rq->task_id);
	if (t) {
		m->task = task_message(t);
		m->peers = mem_array(least(max, t->peer_count) + 1, sizeof(*m->peers));
		while (m->n_peers < max && m->n_peers < t->peer_count) {
			m->peers[m->n_peers] = pieces_message(t->peers[m->n_peers]);
			m->n_peers++;
		}
	}
	lock_drop(&s->lock);
	if (t) {
		reply_free(call, &m->base);
		return;
	}
	protobuf_c_message_free_unpacked(&m->base, NULL);
	rpc_call_finish(call, RPC_NOT_FOUND, "no such task");
}

/* ---- preheats */

static Skimmer__V1__PreheatFailure *failure_message(const struct preheat_failure *f)
{
	Skimmer__V1__PreheatFailure *m = mem_new(Skimmer__V1__PreheatFailure);

	skimmer__v1__preheat_failure__init(m);
	m->host = mem_strdup(f->host);
	m->code = f->code;
	m->why = mem_strdup(f->why);
	return m;
}

static Skimmer__V1__PreheatTask *preheat_message(struct service *s, const char *task_id)
{
	struct preheat_failure failures[FAILURES_MAX];
	Skimmer__V1__PreheatTask *m = mem_new(Skimmer__V1__PreheatTask);
	size_t pending,
		count = preheats_failures(s->preheats, task_id, failures, FAILURES_MAX, &pending);

	skimmer__v1__preheat_task__init(m);
	m->task_id = mem_strdup(task_id);
	m->pending_count = (uint32_t)pending;
	m->failures = mem_array(count + 1, sizeof(*m->failures));
	for (; m->n_failures < count; m->n_failures++)
		m->failures[m->n_failures] = failure_message(&failures[m->n_failures]);
	return m;
}

static void stat_preheat(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Skimmer__V1__StatPreheatRequest *rq = (const void *)req;
	Skimmer__V1__StatPreheatResponse *m = mem_new(Skimmer__V1__StatPreheatResponse);
	size_t count = least(rq->n_task_ids, PREHEATS_ASKED_MAX);

	skimmer__v1__stat_preheat_response__init(m);
	m->tasks = mem_array(count + 1, sizeof(*m->tasks));
	for (; m->n_tasks < count; m->n_tasks++)
		m->tasks[m->n_tasks] = preheat_message(arg, rq->task_ids[m->n_tasks]);
	reply_free(call, &m->base);
}

const struct rpc_method service_swarm_methods[] = {
	{
		.path = "/skimmer.v1.Swarm/StatSwarm",
		.request = &skimmer__v1__stat_swarm_request__descriptor,
		.message = stat_swarm,
	},
	{
		.path = "/skimmer.v1.Swarm/StatPieces",
		.request = &skimmer__v1__stat_pieces_request__descriptor,
		.message = stat_pieces,
	},
	{
		.path = "/skimmer.v1.Swarm/StatPreheat",
		.request = &skimmer__v1__stat_preheat_request__descriptor,
		.message = stat_preheat,
	},
	{.path = NULL},
};
