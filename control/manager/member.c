/* Schedulers and seed peers in the database. */
#include "control/manager/member.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

/* The two tables differ in a few names; the statements are written out for each. */
struct table {
	const char *name; /* in errors */
	const char *upsert, *select, *remove, *set_state;
};

#define BY_NAME " WHERE hostname = ? AND (? = '' OR ip = ?) AND "

static const struct table tables[] = {
	[MEMBER_SCHEDULER] =
		{
			.name = "scheduler",
			.upsert = "INSERT INTO schedulers (hostname, ip, scheduler_cluster_id, "
				  "port, idc,"
				  " location, features, created_ms, updated_ms)"
				  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?10, ?10)"
				  " ON CONFLICT (hostname, ip, scheduler_cluster_id) DO UPDATE SET"
				  " port = ?4, idc = ?5, location = ?6, features = ?7, updated_ms "
				  "= ?10",
			.select = "SELECT id, hostname, ip, port, 0, idc, location, state, "
				  "features, '',"
				  " scheduler_cluster_id FROM schedulers",
			.remove = "DELETE FROM schedulers" BY_NAME "scheduler_cluster_id = ?",
			.set_state = "UPDATE schedulers SET state = ?, keep_alive_ms = ?" BY_NAME
				     "scheduler_cluster_id = ?",
		},
	[MEMBER_SEED_PEER] =
		{
			.name = "seed peer",
			.upsert = "INSERT INTO seed_peers (hostname, ip, seed_peer_cluster_id, "
				  "port, idc,"
				  " location, type, download_port, created_ms, updated_ms)"
				  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?8, ?9, ?10, ?10)"
				  " ON CONFLICT (hostname, ip, seed_peer_cluster_id) DO UPDATE SET"
				  " port = ?4, idc = ?5, location = ?6, type = ?8, download_port = "
				  "?9,"
				  " updated_ms = ?10",
			.select = "SELECT id, hostname, ip, port, download_port, idc, location, "
				  "state, '[]',"
				  " type, seed_peer_cluster_id FROM seed_peers",
			.remove = "DELETE FROM seed_peers" BY_NAME "seed_peer_cluster_id = ?",
			.set_state = "UPDATE seed_peers SET state = ?, keep_alive_ms = ?" BY_NAME
				     "seed_peer_cluster_id = ?",
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

int member_update(struct db *db, enum member_kind kind, const struct member *m, struct member *out,
		  struct err *e)
{
	const struct table *t = &tables[kind];
	int r = db_run(db, NULL, e, t->upsert, "ssiissssii", m->hostname, m->ip,
		       (int64_t)m->cluster_id, (int64_t)m->port, m->idc, m->location, m->features,
		       m->type, (int64_t)m->download_port, clock_wall_ms());

	if (r == -EINVAL)
		return err_set(e, ENOENT, "%s cluster %llu", t->name,
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
		     uint64_t cluster_id, bool active, struct err *e)
{
	int64_t changed = 0;
	int r = db_run(db, &changed, e, tables[kind].set_state, "sisssi",
		       active ? "active" : "inactive", clock_wall_ms(), hostname, ip, ip,
		       (int64_t)cluster_id);

	if (r == 0 && changed == 0)
		return err_set(e, ENOENT, "%s %s of cluster %llu", tables[kind].name, hostname,
			       (unsigned long long)cluster_id);
	return r;
}

int member_reset_all(struct db *db, struct err *e)
{
	int r = db_run(db, NULL, e, "UPDATE schedulers SET state = 'inactive'", "");

	if (r == 0)
		r = db_run(db, NULL, e, "UPDATE seed_peers SET state = 'inactive'", "");
	return r;
}
