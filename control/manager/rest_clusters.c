/*
 * /clusters: one scheduler cluster and one seed peer cluster of the same name, seen as one. Its id
 * is the scheduler cluster's.
 */
#include "control/manager/rest_clusters.h"

#include "base/clock.h"
#include "base/mem.h"
#include "control/manager/cluster_fields.h"

#include <errno.h>
#include <string.h>

#define SELECT                                                                                     \
	"SELECT s.id, s.name, s.bio, s.scopes, s.config, s.client_config, s.seed_client_config,"   \
	" s.is_default, s.created_ms, s.updated_ms,"                                               \
	" (SELECT MIN(l.seed_peer_cluster_id) FROM cluster_links l"                                \
	"  WHERE l.scheduler_cluster_id = s.id)"                                                   \
	" FROM scheduler_clusters s"

static json_t *document(const char *text)
{
	json_t *json = json_loads(text, 0, NULL);

	return json ? json : json_object();
}

static json_t *time_text(int64_t ms)
{
	char text[32];

	field_print_time(ms, text);
	return json_string(text);
}

static json_t *cluster_json(struct query *q)
{
	json_t *row = json_object();

	json_object_set_new(row, "id", json_integer(query_int(q, 0)));
	json_object_set_new(row, "name", json_string(query_text(q, 1)));
	json_object_set_new(row, "bio", json_string(query_text(q, 2)));
	json_object_set_new(row, "scopes", document(query_text(q, 3)));
	json_object_set_new(row, "scheduler_cluster_id", json_integer(query_int(q, 0)));
	json_object_set_new(row, "seed_peer_cluster_id", json_integer(query_int(q, 10)));
	json_object_set_new(row, "scheduler_cluster_config", document(query_text(q, 4)));
	json_object_set_new(row, "seed_peer_cluster_config", document(query_text(q, 6)));
	json_object_set_new(row, "peer_cluster_config", document(query_text(q, 5)));
	json_object_set_new(row, "is_default", json_boolean(query_int(q, 7) != 0));
	json_object_set_new(row, "created_at", time_text(query_int(q, 8)));
	json_object_set_new(row, "updated_at", time_text(query_int(q, 9)));
	json_object_set_new(row, "is_del", json_integer(0));
	return row;
}

static int answer_cluster(struct rest_call *c, int64_t id, struct err *e)
{
	json_t *row = NULL;
	struct query q;
	int r;

	query_start(c->rest->db, &q, e, SELECT " WHERE s.id = ?", "i", id);
	if (query_next(&q))
		row = cluster_json(&q);
	r = query_end(&q);
	if (r < 0) {
		json_decref(row);
		return r;
	}
	if (!row)
		return err_set(e, ENOENT, "no cluster %lld", (long long)id);
	rest_json(c, row);
	return 0;
}

static int get(struct rest_call *c, struct err *e)
{
	int64_t id;
	int r = rest_id(c, 0, &id, e);

	return r < 0 ? r : answer_cluster(c, id, e);
}

static int list(struct rest_call *c, struct err *e)
{
	char *name cleanup(free_at) = rest_query(c, "name");
	json_t *rows cleanup(json_decref_at) = json_array();
	struct rest_page page;
	struct query q;
	int64_t total = 0;
	int r = rest_page(c, &page, e);

	if (!name)
		name = mem_strdup("");
	if (r == 0)
		r = db_number(c->rest->db, &total, e,
			      "SELECT COUNT(*) FROM scheduler_clusters WHERE ? = '' OR name = ?",
			      "ss", name, name);
	if (r < 0)
		return r;
	query_start(c->rest->db, &q, e,
		    SELECT " WHERE ? = '' OR s.name = ? ORDER BY s.id LIMIT ? OFFSET ?", "ssii",
		    name, name, page.per_page, (page.page - 1) * page.per_page);
	while (query_next(&q))
		json_array_append_new(rows, cluster_json(&q));
	r = query_end(&q);
	if (r < 0)
		return r;
	rest_json(c, take_ptr(&rows));
	rest_link(c, &page, total);
	return 0;
}

/* ---- changes */

/* The text of a member: a string's own, everything else as JSON. NULL if absent. Caller frees. */
static char *member_text(const json_t *taken, const char *name)
{
	const json_t *v = json_object_get(taken, name);

	if (!v)
		return NULL;
	return json_is_string(v) ? mem_strdup(json_string_value(v)) : json_print(v);
}

struct texts {
	char *name, *bio, *scopes, *scheduler, *seed, *peer;
};

static void texts_release(struct texts *t)
{
	free(t->name);
	free(t->bio);
	free(t->scopes);
	free(t->scheduler);
	free(t->seed);
	free(t->peer);
}

static void texts_of(const json_t *taken, struct texts *out)
{
	*out = (struct texts){
		.name = member_text(taken, "name"),
		.bio = member_text(taken, "bio"),
		.scopes = member_text(taken, "scopes"),
		.scheduler = member_text(taken, "scheduler_cluster_config"),
		.seed = member_text(taken, "seed_peer_cluster_config"),
		.peer = member_text(taken, "peer_cluster_config"),
	};
}

/* There is one default: it moves. */
static int move_default(struct db *db, const json_t *taken, int64_t id, struct err *e)
{
	const json_t *is_default = json_object_get(taken, "is_default");

	if (!is_default)
		return 0;
	if (json_is_true(is_default))
		return db_run(db, NULL, e,
			      "UPDATE scheduler_clusters SET is_default = CASE WHEN id = ? THEN 1"
			      " ELSE 0 END",
			      "i", id);
	return db_run(db, NULL, e, "UPDATE scheduler_clusters SET is_default = 0 WHERE id = ?", "i",
		      id);
}

static int insert(struct db *db, const json_t *taken, int64_t *id_out, struct err *e)
{
	struct texts t cleanup(texts_release);
	int64_t now = clock_wall_ms(), seed_id = 0;
	int r;

	texts_of(taken, &t);
	r = db_number(db, id_out, e,
		      "INSERT INTO scheduler_clusters (name, bio, scopes, config, client_config,"
		      " seed_client_config, created_ms, updated_ms)"
		      " VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
		      "ssssssii", t.name, t.bio ? t.bio : "", t.scopes, t.scheduler, t.peer, t.seed,
		      now, now);
	if (r == 0)
		r = db_number(db, &seed_id, e,
			      "INSERT INTO seed_peer_clusters (name, bio, config, created_ms,"
			      " updated_ms) VALUES (?, ?, ?, ?, ?) RETURNING id",
			      "sssii", t.name, t.bio ? t.bio : "", t.seed, now, now);
	if (r == 0)
		r = db_run(db, NULL, e,
			   "INSERT INTO cluster_links (seed_peer_cluster_id, scheduler_cluster_id)"
			   " VALUES (?, ?)",
			   "ii", seed_id, *id_out);
	if (r == 0)
		r = move_default(db, taken, *id_out, e);
	if (r == -EEXIST)
		return err_set(e, EEXIST, "there is a cluster of this name already");
	return r;
}

static int take_body(struct rest_call *c, bool creating, json_t **out, struct err *e)
{
	json_t *body cleanup(json_decref_at) = NULL;
	int r = rest_body(c, &body, e);

	return r < 0 ? r : fields_take(cluster_fields, body, creating, out, e);
}

static int create(struct rest_call *c, struct err *e)
{
	json_t *taken cleanup(json_decref_at) = NULL;
	int64_t id = 0;
	int r = take_body(c, true, &taken, e);

	if (r == 0)
		r = db_begin(c->rest->db, e);
	if (r == 0)
		r = db_finish(c->rest->db, insert(c->rest->db, taken, &id, e), e);
	return r < 0 ? r : answer_cluster(c, id, e);
}

/* The seed peer cluster of a cluster is the one linked to it with the smallest id. */
#define SEED_OF                                                                                    \
	"(SELECT MIN(seed_peer_cluster_id) FROM cluster_links WHERE scheduler_cluster_id = ?)"

static int change(struct db *db, int64_t id, const json_t *taken, struct err *e)
{
	struct texts t cleanup(texts_release);
	int64_t now = clock_wall_ms(), changed = 0;
	int r;

	texts_of(taken, &t);
	r = db_run(db, &changed, e,
		   "UPDATE scheduler_clusters SET name = COALESCE(?, name), bio = COALESCE(?, bio),"
		   " scopes = COALESCE(?, scopes), config = COALESCE(?, config),"
		   " client_config = COALESCE(?, client_config),"
		   " seed_client_config = COALESCE(?, seed_client_config), updated_ms = ?"
		   " WHERE id = ?",
		   "ssssssii", t.name, t.bio, t.scopes, t.scheduler, t.peer, t.seed, now, id);
	if (r == 0 && !changed)
		return err_set(e, ENOENT, "no cluster %lld", (long long)id);
	if (r == 0)
		r = db_run(db, NULL, e,
			   "UPDATE seed_peer_clusters SET name = COALESCE(?, name),"
			   " bio = COALESCE(?, bio), config = COALESCE(?, config), updated_ms = ?"
			   " WHERE id = " SEED_OF,
			   "sssii", t.name, t.bio, t.seed, now, id);
	if (r == 0)
		r = move_default(db, taken, id, e);
	if (r == -EEXIST)
		return err_set(e, EEXIST, "there is a cluster of this name already");
	return r;
}

static int update(struct rest_call *c, struct err *e)
{
	json_t *taken cleanup(json_decref_at) = NULL;
	int64_t id;
	int r = rest_id(c, 0, &id, e);

	if (r == 0)
		r = take_body(c, false, &taken, e);
	if (r == 0)
		r = db_begin(c->rest->db, e);
	if (r == 0)
		r = db_finish(c->rest->db, change(c->rest->db, id, taken, e), e);
	return r < 0 ? r : answer_cluster(c, id, e);
}

static int refuse_members(struct db *db, int64_t id, int64_t seed_id, struct err *e)
{
	int64_t schedulers = 0, seeds = 0;
	int r = db_number(db, &schedulers, e,
			  "SELECT COUNT(*) FROM schedulers WHERE scheduler_cluster_id = ?", "i",
			  id);

	if (r == 0)
		r = db_number(db, &seeds, e,
			      "SELECT COUNT(*) FROM seed_peers WHERE seed_peer_cluster_id = ?", "i",
			      seed_id);
	if (r == 0 && schedulers + seeds)
		return err_set(e, EBUSY,
			       "the cluster has %lld schedulers and %lld seed peers: remove them "
			       "first",
			       (long long)schedulers, (long long)seeds);
	return r;
}

static int drop(struct db *db, int64_t id, struct err *e)
{
	int64_t seed_id = 0;
	int r = db_number(db, &seed_id, e,
			  "SELECT COALESCE(" SEED_OF ", 0) FROM scheduler_clusters WHERE id = ?",
			  "ii", id, id);

	if (r == -ENOENT)
		return err_set(e, ENOENT, "no cluster %lld", (long long)id);
	if (r == 0)
		r = refuse_members(db, id, seed_id, e);
	if (r == 0)
		r = db_run(db, NULL, e, "DELETE FROM scheduler_clusters WHERE id = ?", "i", id);
	/* A seed peer cluster that feeds others too stays theirs. */
	if (r == 0)
		r = db_run(db, NULL, e,
			   "DELETE FROM seed_peer_clusters WHERE id = ? AND id NOT IN"
			   " (SELECT seed_peer_cluster_id FROM cluster_links)",
			   "i", seed_id);
	return r;
}

static int delete (struct rest_call *c, struct err *e)
{
	int64_t id;
	int r = rest_id(c, 0, &id, e);

	if (r == 0)
		r = db_begin(c->rest->db, e);
	return r < 0 ? r : db_finish(c->rest->db, drop(c->rest->db, id, e), e);
}

#define ONE(prefix, verb, handler, text, who, takes)                                               \
	{                                                                                          \
		.method = verb, .path = prefix "clusters/:id", .access = who, .handle = handler,   \
		.summary = text, .body = takes, .shape = cluster_fields, .flags = ROUTE_ROW        \
	}
#define ALL(prefix, verb, handler, text, who, takes, more)                                         \
	{                                                                                          \
		.method = verb, .path = prefix "clusters", .access = who, .handle = handler,       \
		.summary = text, .body = takes, .shape = cluster_fields,                           \
		.flags = ROUTE_ROW | (more)                                                        \
	}
#define DELETION(prefix, who)                                                                      \
	{                                                                                          \
		.method = "DELETE", .path = prefix "clusters/:id", .access = who,                  \
		.handle = delete, .summary = "Remove a cluster without members",                   \
		.flags = ROUTE_EMPTY                                                               \
	}
#define ROUTES(prefix, who)                                                                        \
	ALL(prefix, "POST", create, "Add a cluster", who, cluster_fields, 0),                      \
		ALL(prefix, "GET", list, "List clusters", who, NULL, ROUTE_LIST),                  \
		ONE(prefix, "GET", get, "One cluster", who, NULL),                                 \
		ONE(prefix, "PATCH", update, "Change a cluster", who, cluster_fields),             \
		DELETION(prefix, who)

const struct route rest_clusters_routes[] = {
	ROUTES("/api/v1/", ACCESS_USER),
	ROUTES("/oapi/v1/", ACCESS_TOKEN),
	{0},
};
