/* Scheduler clusters in the database. */
#include "control/manager/cluster.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>

#define COLUMNS                                                                                    \
	"SELECT id, name, bio, config, client_config, seed_client_config, scopes, is_default"      \
	" FROM scheduler_clusters "

void cluster_release(struct cluster *c)
{
	free(c->name);
	free(c->bio);
	free(c->config);
	free(c->client_config);
	free(c->seed_client_config);
	free(c->scopes);
	*c = (struct cluster){0};
}

static void fill(struct query *q, struct cluster *c)
{
	*c = (struct cluster){
		.id = (uint64_t)query_int(q, 0),
		.name = mem_strdup(query_text(q, 1)),
		.bio = mem_strdup(query_text(q, 2)),
		.config = mem_strdup(query_text(q, 3)),
		.client_config = mem_strdup(query_text(q, 4)),
		.seed_client_config = mem_strdup(query_text(q, 5)),
		.scopes = mem_strdup(query_text(q, 6)),
		.is_default = query_int(q, 7) != 0,
	};
}

int cluster_get(struct db *db, uint64_t id, struct cluster *out, struct err *e)
{
	struct query q;
	bool found;
	int r;

	query_start(db, &q, e, COLUMNS "WHERE id = ?", "i", (int64_t)id);
	found = query_next(&q);
	if (found)
		fill(&q, out);
	r = query_end(&q);
	if (r == 0 && !found)
		return err_set(e, ENOENT, "scheduler cluster %llu", (unsigned long long)id);
	return r;
}

int cluster_list(struct db *db, struct cluster **out, size_t *count_out, struct err *e)
{
	struct cluster *list = NULL;
	size_t count = 0;
	struct query q;
	int r;

	query_start(db, &q, e, COLUMNS "ORDER BY id", "");
	while (query_next(&q)) {
		list = mem_realloc(list, (count + 1) * sizeof(*list));
		fill(&q, &list[count++]);
	}
	r = query_end(&q);
	if (r < 0) {
		for (size_t i = 0; i < count; i++)
			cluster_release(&list[i]);
		free(list);
		return r;
	}
	*out = list;
	*count_out = count;
	return 0;
}

int cluster_add(struct db *db, const char *name, const char *scopes, uint64_t *id_out,
		struct err *e)
{
	int64_t now = clock_wall_ms();
	struct query q;
	int r;

	query_start(db, &q, e,
		    "INSERT INTO scheduler_clusters (name, scopes, created_ms, updated_ms)"
		    " VALUES (?, ?, ?, ?) RETURNING id",
		    "ssii", name, scopes, now, now);
	while (query_next(&q))
		*id_out = (uint64_t)query_int(&q, 0);
	r = query_end(&q);
	if (r == 0)
		r = db_run(db, NULL, e,
			   "INSERT INTO seed_peer_clusters (name, created_ms, updated_ms)"
			   " VALUES (?, ?, ?)",
			   "sii", name, now, now);
	if (r == 0)
		r = db_run(db, NULL, e,
			   "INSERT INTO cluster_links (seed_peer_cluster_id, scheduler_cluster_id)"
			   " SELECT s.id, ? FROM seed_peer_clusters s"
			   " WHERE s.name = ?",
			   "is", (int64_t)*id_out, name);
	return r;
}
