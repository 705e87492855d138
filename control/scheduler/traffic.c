/* Sums of reported pieces. */
#include "control/scheduler/traffic.h"

#include "base/mem.h"
#include "control/scheduler/state.h"

static void flow_free(struct flow *f)
{
	free(f->parent_id);
	free(f->child_id);
	free(f);
}

void traffic_init(struct traffic *t)
{
	*t = (struct traffic){.flows = map_new()};
}

void traffic_release(struct traffic *t)
{
	const char *key;
	void *value;
	size_t at = 0;

	while (map_next(t->flows, &at, &key, &value))
		flow_free(value);
	map_free(t->flows);
}

static struct flow *flow_of(struct traffic *t, const struct host *parent, const struct host *child)
{
	char *key cleanup(free_at) = mem_printf("%s\n%s", parent->id, child->id);
	struct flow *f = map_get(t->flows, key);

	if (f || map_count(t->flows) >= FLOWS_MAX)
		return f;
	f = mem_new(struct flow);
	f->parent_id = mem_strdup(parent->id);
	f->child_id = mem_strdup(child->id);
	map_put(t->flows, key, f);
	return f;
}

static struct meter *sum_of(struct traffic *t, const struct host *child, const struct host *parent)
{
	if (child->type != 0)
		return parent ? &t->seeds_from_hosts : &t->seeds_from_origin;
	if (!parent)
		return &t->nodes_from_origin;
	return parent->type != 0 ? &t->nodes_from_seeds : &t->nodes_from_nodes;
}

void traffic_piece(struct traffic *t, struct host *child, struct host *parent, uint64_t len,
		   int64_t now_ms)
{
	struct flow *f;

	meter_add(sum_of(t, child, parent), len, now_ms);
	if (!parent) {
		meter_add(&child->from_origin, len, now_ms);
		return;
	}
	meter_add(&child->received, len, now_ms);
	meter_add(&parent->sent, len, now_ms);
	f = flow_of(t, parent, child);
	if (!f)
		return;
	meter_add(&f->meter, len, now_ms);
	f->last_ms = now_ms;
}

void traffic_gc(struct traffic *t, int64_t now_ms)
{
	const char *key;
	void *value;
	size_t at = 0;

	while (map_next(t->flows, &at, &key, &value)) {
		struct flow *f = value;

		if (now_ms - f->last_ms <= FLOW_QUIET_MS)
			continue;
		map_remove(t->flows, key);
		flow_free(f);
	}
}
