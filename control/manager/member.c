/* Schedulers and seed peers in the database. */
#include "control/manager/member.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

/* The two tables differ in a few names; the statements are written out for each. */
struct table {
	const char *name; /* in errors */
	const char *update, *insert, *select, *remove, *set_state;
};

#define BY_NAME " WHERE hostname = ? AND (? = '' OR ip = ?) AND "

static const struct table tables[] = {
	[MEMBER_SCHEDULER] =
		{
			.name = "scheduler",
			.update = "UPDATE schedulers SET port = ?, idc = ?, location = ?,"
				  " features = ?, updated_ms = ?"
				  " WHERE hostname = ? AND ip = ? AND scheduler_cluster_id = ?",
			.insert = "INSERT INTO schedulers (port, idc, location, features,"
				  " updated_ms, hostname, ip, scheduler_cluster_id, created_ms)"
				  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			.select = "SELECT id, hostname, ip, port, 0, idc, location, state,"
				  " features, '',"
				  " scheduler_cluster_id FROM schedulers",
			.remove = "DELETE FROM schedulers" BY_NAME "scheduler_cluster_id = ?",
			.set_state = "UPDATE schedulers SET state = ?, keep_alive_ms = ?" BY_NAME
				     "scheduler_cluster_id = ? AND (? = 1 OR keep_alive_ms <= ?)",
		},
	[MEMBER_SEED_PEER] =
		{
			.name = "seed peer",
			.update = "UPDATE seed_peers SET port = ?, idc = ?, location = ?,"
				  " type = ?, updated_ms = ?, download_port = ?"
				  " WHERE hostname = ? AND ip = ? AND seed_peer_cluster_id = ?",
			.insert = "INSERT INTO seed_peers (port, idc, location, type,"
				  " updated_ms, download_port, hostname, ip, seed_peer_cluster_id,"
				  " created_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			.select = "SELECT id, hostname, ip, port, download_port, idc, location,"
				  " state, '[]',"
				  " type, seed_peer_cluster_id FROM seed_peers",
			.remove = "DELETE FROM seed_peers" BY_NAME "seed_peer_cluster_id = ?",
			.set_state = "UPDATE seed_peers SET state = ?, keep_alive_ms = ?" BY_NAME
				     "seed_peer_cluster_id = ? AND (? = 1 OR keep_alive_ms <= ?)",
		},
};

static const char *cluster_column(enum member_kind kind)
{
	return kind == MEMBER_SCHEDULER ? "scheduler_cluster_id" : "seed_peer_cluster_id";
}

void member_release(struct member *m)
{
	free(m->hostname);
	free(m->ip);
	free(m->idc);
	free(m->location);
	free(m->state);
	free(m->features);
	free(m->type);
	*m = (struct member){0};
}

void member_list_free(struct member *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		member_release(&list[i]);
	free(list);
}

static void fill(struct query *q, struct member *m)
{
	*m = (struct member){
		.id = (uint64_t)query_int(q, 0),
		.hostname = mem_strdup(query_text(q, 1)),
		.ip = mem_strdup(query_text(q, 2)),
		.port = (int)query_int(q, 3),
		.download_port = (int)query_int(q, 4),
		.idc = mem_strdup(query_text(q, 5)),
		.location = mem_strdup(query_text(q, 6)),
		.state = mem_strdup(query_text(q, 7)),
		.features = mem_strdup(query_text(q, 8)),
		.type = mem_strdup(query_text(q, 9)),
		.cluster_id = (uint64_t)query_int(q, 10),
	};
}

static int collect(struct query *q, struct member **out, size_t *count_out)
{
	struct member *list = NULL;
	size_t count = 0;
	int r;

	while (query_next(q)) {
		list = mem_realloc(list, (count + 1) * sizeof(*list));
		fill(q, &list[count++]);
	}
	r = query_end(q);
	if (r < 0) {
		member_list_free(list, count);
		return r;
	}
	*out = list;
	*count_out = count;
	return 0;
}

/* The values of update and, with created_ms, of insert. Returns how many. */
static size_t fill_values(enum member_kind kind, const struct member *m, struct db_value *v)
{
	int64_t now = clock_wall_ms();
	size_t n = 0;

	v[n++] = (struct db_value){.number = m->port};
	v[n++] = (struct db_value){.is_text = true, .text = m->idc};
	v[n++] = (struct db_value){.is_text = true, .text = m->location};
	v[n++] = (struct db_value){.is_text = true,
				   .text = kind == MEMBER_SCHEDULER ? m->features : m->type};
	v[n++] = (struct db_value){.number = now};
	if (kind == MEMBER_SEED_PEER)
		v[n++] = (struct db_value){.number = m->download_port};
	v[n++] = (struct db_value){.is_text = true, .text = m->hostname};
	v[n++] = (struct db_value){.is_text = true, .text = m->ip};
	v[n++] = (struct db_value){.number = (int64_t)m->cluster_id};
	v[n] = (struct db_value){.number = now};
	return n;
}

/* No two transactions go on at a time: what was not there to be updated is not there yet. */
static int upsert(struct db *db, enum member_kind kind, const struct member *m, struct err *e)
{
	struct db_value values[10];
	size_t count = fill_values(kind, m, values);
	int64_t changed = 0;
	int r = db_run_values(db, &changed, e, tables[kind].update, values, count);

	if (r == 0 && !changed)
		r = db_run_values(db, NULL, e, tables[kind].insert, values, count + 1);
	return r;
}

int member_update(struct db *db, enum member_kind kind, const struct member *m, struct member *out,
		  struct err *e)
{
	int r = db_begin(db, e);

	if (r == 0)
		r = db_finish(db, upsert(db, kind, m, e), e);
	if (r == -EINVAL)
		return err_set(e, ENOENT, "%s cluster %llu", tables[kind].name,
			       (unsigned long long)m->cluster_id);
	if (r < 0)
		return r;
	return member_get(db, kind, m->hostname, m->ip, m->cluster_id, out, e);
}

int member_get(struct db *db, enum member_kind kind, const char *hostname, const char *ip,
	       uint64_t cluster_id, struct member *out, struct err *e)
{
	const struct table *t = &tables[kind];
	char sql[512];
	struct query q;
	bool found;
	int r;

	snprintf(sql, sizeof(sql), "%s" BY_NAME "%s = ?", t->select, cluster_column(kind));
	query_start(db, &q, e, sql, "sssi", hostname, ip, ip, (int64_t)cluster_id);
	found = query_next(&q);
	if (found)
		fill(&q, out);
	r = query_end(&q);
	if (r == 0 && !found)
		return err_set(e, ENOENT, "%s %s of cluster %llu", t->name, hostname,
			       (unsigned long long)cluster_id);
	return r;
}

int member_list(struct db *db, enum member_kind kind, uint64_t cluster_id, bool active_only,
		struct member **out, size_t *count_out, struct err *e)
{
	char sql[512];
	struct query q;

	snprintf(sql, sizeof(sql),
		 "%s WHERE (? = 0 OR %s = ?) AND (? = 0 OR state = 'active')"
		 " ORDER BY id",
		 tables[kind].select, cluster_column(kind));
	query_start(db, &q, e, sql, "iii", (int64_t)cluster_id, (int64_t)cluster_id,
		    (int64_t)active_only);
	return collect(&q, out, count_out);
}

int member_list_seeds(struct db *db, uint64_t scheduler_cluster_id, struct member **out,
		      size_t *count_out, struct err *e)
{
	char sql[512];
	struct query q;

	snprintf(sql, sizeof(sql),
		 "%s WHERE seed_peer_cluster_id IN (SELECT seed_peer_cluster_id FROM cluster_links"
		 " WHERE scheduler_cluster_id = ?) ORDER BY id",
		 tables[MEMBER_SEED_PEER].select);
	query_start(db, &q, e, sql, "i", (int64_t)scheduler_cluster_id);
	return collect(&q, out, count_out);
}

int member_delete(struct db *db, enum member_kind kind, const char *hostname, const char *ip,
		  uint64_t cluster_id, struct err *e)
{
	int64_t changed = 0;
	int r = db_run(db, &changed, e, tables[kind].remove, "sssi", hostname, ip, ip,
		       (int64_t)cluster_id);

	if (r == 0 && changed == 0)
		return err_set(e, ENOENT, "%s %s", tables[kind].name, hostname);
	return r;
}

int member_set_state(struct db *db, enum member_kind kind, const char *hostname, const char *ip,
		     uint64_t cluster_id, bool active, int64_t beat_ms, struct err *e)
{
	int64_t changed = 0;
	int r = db_run(db, &changed, e, tables[kind].set_state, "sisssiii",
		       active ? "active" : "inactive", beat_ms, hostname, ip, ip,
		       (int64_t)cluster_id, (int64_t)active, beat_ms);

	if (r == 0 && changed == 0 && active)
		return err_set(e, ENOENT, "%s %s of cluster %llu", tables[kind].name, hostname,
			       (unsigned long long)cluster_id);
	return r;
}

int member_expire(struct db *db, struct err *e)
{
	int64_t since = clock_wall_ms() - MEMBER_SILENT_MS;
	int r = db_run(db, NULL, e,
		       "UPDATE schedulers SET state = 'inactive' WHERE state = 'active'"
		       " AND keep_alive_ms < ?",
		       "i", since);

	if (r == 0)
		r = db_run(db, NULL, e,
			   "UPDATE seed_peers SET state = 'inactive' WHERE state = 'active'"
			   " AND keep_alive_ms < ?",
			   "i", since);
	return r;
}

int member_reset_all(struct db *db, struct err *e)
{
	int r = db_run(db, NULL, e, "UPDATE schedulers SET state = 'inactive'", "");

	if (r == 0)
		r = db_run(db, NULL, e, "UPDATE seed_peers SET state = 'inactive'", "");
	return r;
}
