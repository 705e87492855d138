/* Sums and merges over the schedulers' answers. */
#include "control/manager/live_view.h"

#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"
#include "control/manager/field.h"
#include "control/manager/job_fields.h"

#include <string.h>

/* ---- meters */

struct sum {
	uint64_t bytes, rate;
};

/* Counts of others' programs: as much of them as fits a JSON integer. */
static json_t *number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static void sum_add(struct sum *s, const Skimmer__V1__Meter *m)
{
	s->bytes += m ? m->bytes : 0;
	s->rate += m ? m->bytes_per_second : 0;
}

static json_t *sum_json(struct sum s)
{
	return json_pack("{s:o, s:o}", "bytes", number(s.bytes), "bytes_per_second",
			 number(s.rate));
}

static json_t *time_json(int64_t wall_ms)
{
	char text[32];

	field_print_time(wall_ms, text);
	return json_string(text);
}

/* Text from a scheduler; jansson takes only UTF-8. */
static json_t *text(const char *s)
{
	json_t *j = json_string(s);

	return j ? j : json_string("?");
}

/* ---- overview */

static int count_table(struct db *db, const char *table, json_t *out, struct err *e)
{
	char *sql cleanup(free_at) = mem_printf(
		"SELECT COUNT(*), COUNT(CASE WHEN state = 'active' THEN 1 END) FROM %s", table);
	struct query q;

	query_start(db, &q, e, sql, "");
	if (query_next(&q))
		json_object_set_new(out, table,
				    json_pack("{s:I, s:I}", "all", (json_int_t)query_int(&q, 0),
					      "active", (json_int_t)query_int(&q, 1)));
	return query_end(&q);
}

static int add_checks(struct db *db, const char *what, const char *missing, json_t *list,
		      struct err *e)
{
	char *sql cleanup(free_at) = mem_printf("SELECT c.id, c.name FROM scheduler_clusters c"
						" WHERE %s ORDER BY c.id LIMIT 100",
						missing);
	struct query q;

	query_start(db, &q, e, sql, "");
	while (query_next(&q))
		json_array_append_new(list, json_pack("{s:I, s:s, s:s}", "scheduler_cluster_id",
						      (json_int_t)query_int(&q, 0), "name",
						      query_text(&q, 1), "missing", what));
	return query_end(&q);
}

static int add_all_checks(struct db *db, json_t *list, struct err *e)
{
	int r = add_checks(db, "scheduler",
			   "NOT EXISTS (SELECT 1 FROM schedulers s WHERE s.scheduler_cluster_id ="
			   " c.id AND s.state = 'active')",
			   list, e);

	return r < 0 ? r
		     : add_checks(db, "seed_peer",
				  "NOT EXISTS (SELECT 1 FROM peers p WHERE p.scheduler_cluster_id ="
				  " c.id AND p.type <> 'normal' AND p.state = 'active')"
				  " AND NOT EXISTS (SELECT 1 FROM cluster_links l JOIN seed_peers s"
				  " ON s.seed_peer_cluster_id = l.seed_peer_cluster_id"
				  " WHERE l.scheduler_cluster_id = c.id AND s.state = 'active')",
				  list, e);
}

/* A seed that a scheduler knows is known, though nobody has synchronised peers yet. */
static void drop_answered_checks(json_t *checks, const struct live_answer *list, size_t count)
{
	for (size_t i = json_array_size(checks); i-- > 0;) {
		const json_t *check = json_array_get(checks, i);
		int64_t cluster =
			json_integer_value(json_object_get(check, "scheduler_cluster_id"));
		bool seen = false;

		for (size_t k = 0; k < count; k++)
			seen |= list[k].cluster == cluster && list[k].m && list[k].m->seed_count;
		if (seen && strcmp(json_str(check, "missing"), "seed_peer") == 0)
			json_array_remove(checks, i);
	}
}

static json_t *traffic_json(const struct live_answer *list, size_t count)
{
	struct sum nodes = {0}, seeds = {0}, origin = {0}, fill = {0}, to_seeds = {0}, all, out;
	int64_t since = 0;

	for (size_t i = 0; i < count; i++) {
		const Skimmer__V1__StatSwarmResponse *m = list[i].m;

		if (!m)
			continue;
		sum_add(&nodes, m->nodes_from_nodes);
		sum_add(&seeds, m->nodes_from_seeds);
		sum_add(&origin, m->nodes_from_origin);
		sum_add(&fill, m->seeds_from_origin);
		sum_add(&to_seeds, m->seeds_from_hosts);
		if (!since || m->started_ms < since)
			since = m->started_ms;
	}
	all = (struct sum){nodes.bytes + seeds.bytes + origin.bytes,
			   nodes.rate + seeds.rate + origin.rate};
	out = (struct sum){origin.bytes + fill.bytes, origin.rate + fill.rate};
	return json_pack("{s:o, s:o, s:o, s:o, s:{s:o, s:o, s:o}, s:{s:o, s:o}}", "since",
			 since ? time_json(since) : json_string(""), "delivered", sum_json(all),
			 "from_origin", sum_json(out), "saved_bytes",
			 number(all.bytes > out.bytes ? all.bytes - out.bytes : 0), "to_nodes",
			 "nodes", sum_json(nodes), "seeds", sum_json(seeds), "origin",
			 sum_json(origin), "to_seeds", "hosts", sum_json(to_seeds), "origin",
			 sum_json(fill));
}

static json_t *swarm_json(const struct live_answer *list, size_t count)
{
	json_int_t tasks = 0, peers = 0, running = 0;

	for (size_t i = 0; i < count; i++) {
		tasks += list[i].m ? list[i].m->task_count : 0;
		peers += list[i].m ? list[i].m->peer_count : 0;
		running += list[i].m ? list[i].m->running_count : 0;
	}
	return json_pack("{s:I, s:I, s:I}", "tasks", tasks, "downloads", peers, "running", running);
}

static json_t *silent_json(const struct live_answer *list, size_t count)
{
	json_t *out = json_array();

	for (size_t i = 0; i < count; i++)
		if (!list[i].m)
			json_array_append_new(out, json_pack("{s:o, s:I, s:o}", "scheduler",
							     text(list[i].scheduler),
							     "scheduler_cluster_id",
							     (json_int_t)list[i].cluster, "why",
							     text(list[i].why)));
	return out;
}

int live_view_overview(struct db *db, const struct live_answer *list, size_t count, json_t **out,
		       struct err *e)
{
	static const char *const tables[] = {"schedulers", "seed_peers", "peers"};
	json_t *view cleanup(json_decref_at) = json_object(), *checks = json_array();
	int64_t clusters = 0;
	int r = db_number(db, &clusters, e, "SELECT COUNT(*) FROM scheduler_clusters", "");

	json_object_set_new(view, "checks", checks);
	for (size_t i = 0; r == 0 && i < array_len(tables); i++)
		r = count_table(db, tables[i], view, e);
	if (r == 0)
		r = add_all_checks(db, checks, e);
	if (r < 0)
		return r;
	drop_answered_checks(checks, list, count);
	json_object_set_new(view, "clusters", json_integer(clusters));
	json_object_set_new(view, "traffic", traffic_json(list, count));
	json_object_set_new(view, "swarm", swarm_json(list, count));
	json_object_set_new(view, "silent", silent_json(list, count));
	*out = take_ptr(&view);
	return 0;
}

/* ---- topology */

/* A host of one or more schedulers. */
struct node {
	const Skimmer__V1__SwarmHost *host;
	int64_t cluster;
	uint32_t index, downloads, running;
	struct sum received, from_origin, sent;
};

struct arrow {
	uint32_t parent, child;
	struct sum sum;
	int64_t quiet_ms;
};

struct topology {
	struct map *nodes, *arrows; /* by "cluster id" and "parent child" */
	struct node **order;
	struct arrow **arrow_order;
	uint32_t count, arrow_count;
};

static struct node *node_of(struct topology *t, int64_t cluster, const Skimmer__V1__SwarmHost *h)
{
	char *key cleanup(free_at) = mem_printf("%lld %s", (long long)cluster, h->id);
	struct node *n = map_get(t->nodes, key);

	if (n || t->count == LIVE_HOSTS_MAX)
		return n;
	n = mem_new(struct node);
	n->host = h;
	n->cluster = cluster;
	n->index = t->count;
	t->order[t->count++] = n;
	map_put(t->nodes, key, n);
	return n;
}

static void add_host(struct topology *t, int64_t cluster, const Skimmer__V1__SwarmHost *h)
{
	struct node *n = node_of(t, cluster, h);

	if (!n)
		return;
	n->downloads += h->peer_count;
	n->running += h->running_count;
	sum_add(&n->received, h->received);
	sum_add(&n->from_origin, h->from_origin);
	sum_add(&n->sent, h->sent);
}

static void add_flow(struct topology *t, int64_t cluster, const Skimmer__V1__StatSwarmResponse *m,
		     const Skimmer__V1__SwarmFlow *f)
{
	const struct node *parent, *child;
	struct arrow *a;
	char key[32];

	if (f->parent >= m->n_hosts || f->child >= m->n_hosts)
		return;
	parent = node_of(t, cluster, m->hosts[f->parent]);
	child = node_of(t, cluster, m->hosts[f->child]);
	if (!parent || !child)
		return;
	snprintf(key, sizeof(key), "%u %u", parent->index, child->index);
	a = map_get(t->arrows, key);
	if (!a && t->arrow_count == LIVE_FLOWS_MAX)
		return;
	if (!a) {
		a = mem_new(struct arrow);
		*a = (struct arrow){parent->index, child->index, {0}, f->quiet_ms};
		t->arrow_order[t->arrow_count++] = a;
		map_put(t->arrows, key, a);
	}
	sum_add(&a->sum, f->meter);
	a->quiet_ms = f->quiet_ms < a->quiet_ms ? f->quiet_ms : a->quiet_ms;
}

static json_t *node_json(const struct node *n)
{
	const Skimmer__V1__SwarmHost *h = n->host;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:I, s:I, s:I, s:o, s:o, s:o}", "id",
			 text(h->id), "hostname", text(h->hostname), "ip", text(h->ip), "idc",
			 text(h->idc), "location", text(h->location), "is_seed", h->is_seed,
			 "scheduler_cluster_id", (json_int_t)n->cluster, "downloads",
			 (json_int_t)n->downloads, "running", (json_int_t)n->running, "received",
			 sum_json(n->received), "from_origin", sum_json(n->from_origin), "sent",
			 sum_json(n->sent));
}

static void add_answer(struct topology *t, const struct live_answer *a, json_int_t *known)
{
	if (!a->m)
		return;
	*known += a->m->host_count;
	for (size_t i = 0; i < a->m->n_hosts; i++)
		add_host(t, a->cluster, a->m->hosts[i]);
	for (size_t i = 0; i < a->m->n_flows; i++)
		add_flow(t, a->cluster, a->m, a->m->flows[i]);
}

json_t *live_view_topology(const struct live_answer *list, size_t count)
{
	struct topology t = {.nodes = map_new(), .arrows = map_new()};
	json_t *hosts = json_array(), *flows = json_array();
	json_int_t known = 0;

	t.order = mem_array(LIVE_HOSTS_MAX, sizeof(struct node *));
	t.arrow_order = mem_array(LIVE_FLOWS_MAX, sizeof(struct arrow *));
	for (size_t i = 0; i < count; i++)
		add_answer(&t, &list[i], &known);
	for (uint32_t i = 0; i < t.count; i++) {
		json_array_append_new(hosts, node_json(t.order[i]));
		free(t.order[i]);
	}
	for (uint32_t i = 0; i < t.arrow_count; i++) {
		const struct arrow *a = t.arrow_order[i];

		json_array_append_new(
			flows, json_pack("{s:I, s:I, s:o, s:o, s:I}", "parent",
					 (json_int_t)a->parent, "child", (json_int_t)a->child,
					 "bytes", number(a->sum.bytes), "bytes_per_second",
					 number(a->sum.rate), "quiet_ms", (json_int_t)a->quiet_ms));
		free(t.arrow_order[i]);
	}
	free(t.order);
	free(t.arrow_order);
	map_free(t.nodes);
	map_free(t.arrows);
	return json_pack("{s:I, s:o, s:o}", "known_hosts", known, "hosts", hosts, "flows", flows);
}

/* ---- tasks */

/* Without credentials: who may look need not be who may fetch. */
static json_t *url_json(const char *url)
{
	json_t *j = job_url_public(url);

	return j ? j : json_string("?");
}

static json_t *task_json(int64_t cluster, const Skimmer__V1__SwarmTask *t)
{
	return json_pack("{s:o, s:I, s:o, s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:o}", "id",
			 text(t->id), "scheduler_cluster_id", (json_int_t)cluster, "url",
			 url_json(t->url), "content_length", number(t->content_length),
			 "piece_length", (json_int_t)t->piece_length, "piece_count",
			 (json_int_t)t->piece_count, "state", text(t->state), "peers",
			 (json_int_t)t->peer_count, "running", (json_int_t)t->running_count,
			 "finished", (json_int_t)t->finished_count, "updated_at",
			 time_json(t->updated_ms));
}

struct row {
	int64_t cluster;
	const Skimmer__V1__SwarmTask *task;
};

static int newest_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->task->updated_ms < y->task->updated_ms   ? 1
	       : x->task->updated_ms > y->task->updated_ms ? -1
							   : 0;
}

json_t *live_view_tasks(const struct live_answer *list, size_t count)
{
	json_t *tasks = json_array();
	json_int_t known = 0;
	struct row *rows;
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += list[i].m ? list[i].m->n_tasks : 0;
	rows = mem_array(n + 1, sizeof(*rows));
	n = 0;
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; list[i].m && k < list[i].m->n_tasks; k++)
			rows[n++] = (struct row){list[i].cluster, list[i].m->tasks[k]};
		known += list[i].m ? list[i].m->task_count : 0;
	}
	qsort(rows, n, sizeof(*rows), newest_first);
	for (size_t i = 0; i < n && i < LIVE_TASKS_MAX; i++)
		json_array_append_new(tasks, task_json(rows[i].cluster, rows[i].task));
	free(rows);
	return json_pack("{s:I, s:o}", "known_tasks", known, "tasks", tasks);
}

static json_t *bitmap_json(const ProtobufCBinaryData *bits)
{
	struct buf hex cleanup(buf_release) = BUF_INIT(1 << 20);

	buf_puts(&hex, "");
	for (size_t i = 0; i < bits->len; i++)
		buf_printf(&hex, "%02x", bits->data[i]);
	return json_string(hex.data ? hex.data : "");
}

static json_t *peer_json(const Skimmer__V1__PiecesPeer *p)
{
	json_t *parents = json_array();

	for (size_t i = 0; i < p->n_parents; i++)
		json_array_append_new(parents, text(p->parents[i]));
	return json_pack("{s:o, s:o, s:o, s:b, s:o, s:I, s:b, s:o, s:o}", "host_id",
			 text(p->host_id), "hostname", text(p->hostname), "ip", text(p->ip),
			 "is_seed", p->is_seed, "state", text(p->state), "finished_pieces",
			 (json_int_t)p->finished_count, "has_all", p->has_all, "pieces",
			 bitmap_json(&p->pieces), "parents", parents);
}

json_t *live_view_task(int64_t cluster, const Skimmer__V1__StatPiecesResponse *m)
{
	json_t *view = task_json(cluster, m->task), *holders = json_array();

	for (size_t i = 0; i < m->n_peers; i++)
		json_array_append_new(holders, peer_json(m->peers[i]));
	json_object_set_new(view, "holders", holders);
	return view;
}
