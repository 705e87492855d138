/* Scheduler clusters, seed peer clusters and their members. */
#include "control/manager/rest_tables.h"

#include "control/manager/cluster_fields.h"
#include "control/manager/resource.h"

#include <errno.h>

#define HOST_NAME(column_name)                                                                     \
	{                                                                                          \
		.name = "host_name", .column = column_name, .type = FIELD_TEXT,                    \
		.flags = FIELD_REQUIRED | FIELD_FILTER | FIELD_BEGINS | FIELD_CREATE_ONLY,         \
		.min = 1, .max = 253, .check = field_check_line                                    \
	}
#define IP                                                                                         \
	{                                                                                          \
		.name = "ip", .type = FIELD_TEXT,                                                  \
		.flags = FIELD_REQUIRED | FIELD_FILTER | FIELD_BEGINS, .min = 1, .max = 64,        \
		.check = field_check_ip                                                            \
	}
#define PLACE(name_)                                                                               \
	{                                                                                          \
		.name = name_, .type = FIELD_TEXT, .flags = FIELD_FILTER | FIELD_BEGINS,           \
		.max = 1024                                                                        \
	}
#define PORT(name_, flags_)                                                                        \
	{                                                                                          \
		.name = name_, .type = FIELD_INT, .flags = flags_, .min = 0, .max = 65535          \
	}
#define STATE                                                                                      \
	{                                                                                          \
		.name = "state", .type = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_FILTER,      \
		.words = "active|inactive"                                                         \
	}
#define CLUSTER(name_, flags_)                                                                     \
	{                                                                                          \
		.name = name_, .type = FIELD_INT, .flags = (flags_) | FIELD_FILTER, .min = 1,      \
		.max = INT64_MAX                                                                   \
	}
#define LAST_KEEP_ALIVE                                                                            \
	{                                                                                          \
		.name = "last_keep_alive_at", .type = FIELD_TIME, .column = "keep_alive_ms",       \
		.flags = FIELD_READ_ONLY                                                           \
	}

/* ---- schedulers */

static const struct field feature[] = {{.type = FIELD_TEXT, .words = "schedule|preheat"}};

static const struct field scheduler_fields[] = {
	HOST_NAME("hostname"),
	PLACE("idc"),
	PLACE("location"),
	IP,
	PORT("port", FIELD_REQUIRED),
	{.name = "features",
	 .type = FIELD_LIST,
	 .members = feature,
	 .fallback = "[\"schedule\",\"preheat\"]"},
	{.name = "config", .type = FIELD_OBJECT},
	CLUSTER("scheduler_cluster_id", FIELD_REQUIRED),
	STATE,
	LAST_KEEP_ALIVE,
	{0},
};
static const struct resource schedulers = {
	.singular = "scheduler", .table = "schedulers", .fields = scheduler_fields};

static int scheduler_features(struct rest_call *c, struct err *e)
{
	(void)e;
	rest_json(c, json_pack("[s, s]", "schedule", "preheat"));
	return 0;
}

/* ---- seed peers */

static const struct field seed_peer_fields[] = {
	HOST_NAME("hostname"),
	{.name = "type",
	 .type = FIELD_TEXT,
	 .flags = FIELD_FILTER,
	 .words = "super|strong|weak",
	 .fallback = "\"super\""},
	PLACE("idc"),
	PLACE("location"),
	IP,
	PORT("port", FIELD_REQUIRED),
	PORT("download_port", FIELD_REQUIRED),
	PORT("object_storage_port", 0),
	CLUSTER("seed_peer_cluster_id", FIELD_REQUIRED),
	STATE,
	LAST_KEEP_ALIVE,
	{0},
};
static const struct resource seed_peers = {
	.singular = "seed peer", .table = "seed_peers", .fields = seed_peer_fields};

/* ---- peers */

static const struct field peer_fields[] = {
	HOST_NAME("host_name"),
	{.name = "type",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED | FIELD_FILTER,
	 .words = "super|strong|weak|normal"},
	PLACE("idc"),
	PLACE("location"),
	IP,
	PORT("port", FIELD_REQUIRED),
	PORT("download_port", FIELD_REQUIRED),
	PORT("proxy_port", 0),
	PORT("object_storage_port", 0),
	{.name = "state",
	 .type = FIELD_TEXT,
	 .flags = FIELD_FILTER,
	 .words = "active|inactive",
	 .fallback = "\"inactive\""},
	PLACE("os"),
	PLACE("platform"),
	PLACE("platform_family"),
	PLACE("platform_version"),
	PLACE("kernel_version"),
	PLACE("git_version"),
	PLACE("git_commit"),
	PLACE("build_platform"),
	CLUSTER("scheduler_cluster_id", FIELD_REQUIRED),
	{0},
};
static const struct resource peers = {.singular = "peer", .table = "peers", .fields = peer_fields};

/* ---- clusters of schedulers */

/* What belongs to a cluster comes with it, as its own routes have it. */
static const struct field any_row = {.type = FIELD_OBJECT};
#define ROWS(name_)                                                                                \
	{                                                                                          \
		.name = name_, .type = FIELD_LIST, .members = &any_row,                            \
		.flags = FIELD_READ_ONLY | FIELD_NO_COLUMN                                         \
	}

static const struct field scheduler_cluster_fields[] = {
	FIELD_NAME,
	FIELD_BIO,
	{.name = "config",
	 .type = FIELD_OBJECT,
	 .members = scheduler_cluster_config_fields,
	 .fallback = "{\"candidate_parent_limit\":4,\"filter_parent_limit\":40,"
		     "\"job_rate_limit\":10}"},
	{.name = "client_config",
	 .type = FIELD_OBJECT,
	 .members = peer_cluster_config_fields,
	 .fallback = "{\"load_limit\":200}"},
	{.name = "seed_client_config",
	 .type = FIELD_OBJECT,
	 .members = seed_peer_cluster_config_fields,
	 .fallback = "{\"load_limit\":2000}"},
	{.name = "scopes", .type = FIELD_OBJECT, .members = scopes_fields, .fallback = "{}"},
	{.name = "is_default", .type = FIELD_BOOL, .flags = FIELD_FILTER},
	{.name = "seed_peer_cluster_id",
	 .type = FIELD_INT,
	 .flags = FIELD_NO_COLUMN,
	 .min = 1,
	 .max = INT64_MAX,
	 .help = "The seed peer cluster that feeds it."},
	ROWS("seed_peer_clusters"),
	ROWS("schedulers"),
	{0},
};

static const struct field seed_peer_cluster_fields[] = {
	FIELD_NAME,
	FIELD_BIO,
	{.name = "config",
	 .type = FIELD_OBJECT,
	 .members = seed_peer_cluster_config_fields,
	 .fallback = "{\"load_limit\":2000}"},
	ROWS("seed_peers"),
	ROWS("scheduler_clusters"),
	{0},
};

static const struct resource seed_peer_clusters_plain = {.singular = "seed peer cluster",
							 .table = "seed_peer_clusters",
							 .fields = seed_peer_cluster_fields};
static const struct resource scheduler_clusters_plain = {.singular = "scheduler cluster",
							 .table = "scheduler_clusters",
							 .fields = scheduler_cluster_fields};

static int add_rows(struct rest_call *c, json_t *row, const char *member, const struct resource *r,
		    const char *where, struct err *e)
{
	json_t *rows = NULL;
	int result = resource_rows(c, r, where, json_integer_value(json_object_get(row, "id")),
				   &rows, e);

	if (result == 0)
		json_object_set_new(row, member, rows);
	return result;
}

static int extend_scheduler_cluster(struct rest_call *c, json_t *row, struct err *e)
{
	int r = add_rows(c, row, "seed_peer_clusters", &seed_peer_clusters_plain,
			 "id IN (SELECT seed_peer_cluster_id FROM cluster_links WHERE"
			 " scheduler_cluster_id = ?)",
			 e);

	if (r == 0)
		r = add_rows(c, row, "schedulers", &schedulers, "scheduler_cluster_id = ?", e);
	return r;
}

static int extend_seed_peer_cluster(struct rest_call *c, json_t *row, struct err *e)
{
	int r = add_rows(c, row, "seed_peers", &seed_peers, "seed_peer_cluster_id = ?", e);

	if (r == 0)
		r = add_rows(c, row, "scheduler_clusters", &scheduler_clusters_plain,
			     "id IN (SELECT scheduler_cluster_id FROM cluster_links WHERE"
			     " seed_peer_cluster_id = ?)",
			     e);
	return r;
}

static int cluster_is_empty(struct rest_call *c, const char *sql, int64_t id, struct err *e)
{
	int64_t members = 0;
	int r = db_number(c->rest->db, &members, e, sql, "i", id);

	if (r == 0 && members)
		return err_set(e, EBUSY, "the cluster has %lld members: remove them first",
			       (long long)members);
	return r;
}

static int may_delete_scheduler_cluster(struct rest_call *c, int64_t id, struct err *e)
{
	return cluster_is_empty(c, "SELECT COUNT(*) FROM schedulers WHERE scheduler_cluster_id = ?",
				id, e);
}

static int may_delete_seed_peer_cluster(struct rest_call *c, int64_t id, struct err *e)
{
	return cluster_is_empty(c, "SELECT COUNT(*) FROM seed_peers WHERE seed_peer_cluster_id = ?",
				id, e);
}

static int write_scheduler_cluster(struct rest_call *c, json_t *taken, bool creating, struct err *e)
{
	int64_t seed = (int64_t)json_u64(taken, "seed_peer_cluster_id", 0), there = 1;
	int r = 0;

	(void)creating;
	if (seed)
		r = db_number(c->rest->db, &there, e,
			      "SELECT COUNT(*) FROM seed_peer_clusters WHERE id = ?", "i", seed);
	if (r == 0 && !there)
		return err_set(e, EINVAL, "seed_peer_cluster_id: there is no such cluster");
	/* There is one default: it moves. */
	if (r == 0 && json_is_true(json_object_get(taken, "is_default")))
		r = db_run(c->rest->db, NULL, e, "UPDATE scheduler_clusters SET is_default = 0",
			   "");
	return r;
}

static int link_made_cluster(struct rest_call *c, const json_t *taken, json_t *row, struct err *e)
{
	int64_t seed = (int64_t)json_u64(taken, "seed_peer_cluster_id", 0);
	int r = 0;

	if (seed)
		r = db_run(c->rest->db, NULL, e,
			   "INSERT INTO cluster_links (seed_peer_cluster_id, scheduler_cluster_id)"
			   " VALUES (?, ?)",
			   "ii", seed, (int64_t)json_u64(row, "id", 0));
	return r < 0 || !seed ? r : extend_scheduler_cluster(c, row, e);
}

static const struct resource scheduler_clusters = {
	.singular = "scheduler cluster",
	.table = "scheduler_clusters",
	.fields = scheduler_cluster_fields,
	.write = write_scheduler_cluster,
	.made = link_made_cluster,
	.extend = extend_scheduler_cluster,
	.may_delete = may_delete_scheduler_cluster,
};

static const struct resource seed_peer_clusters = {
	.singular = "seed peer cluster",
	.table = "seed_peer_clusters",
	.fields = seed_peer_cluster_fields,
	.extend = extend_seed_peer_cluster,
	.may_delete = may_delete_seed_peer_cluster,
};

/* ---- who belongs to whom */

static int two_ids(struct rest_call *c, int64_t *a, int64_t *b, struct err *e)
{
	int r = rest_id(c, 0, a, e);

	return r < 0 ? r : rest_id(c, 1, b, e);
}

static int move_member(struct rest_call *c, const char *sql, struct err *e)
{
	int64_t cluster, member, changed = 0;
	int r = two_ids(c, &cluster, &member, e);

	if (r == 0)
		r = db_run(c->rest->db, &changed, e, sql, "ii", cluster, member);
	if (r == -EINVAL || (r == 0 && !changed))
		return err_set(e, ENOENT, "no such cluster or member");
	return r;
}

static int move_scheduler(struct rest_call *c, struct err *e)
{
	return move_member(c, "UPDATE schedulers SET scheduler_cluster_id = ? WHERE id = ?", e);
}

static int move_seed_peer(struct rest_call *c, struct err *e)
{
	return move_member(c, "UPDATE seed_peers SET seed_peer_cluster_id = ? WHERE id = ?", e);
}

static int link_clusters(struct rest_call *c, struct err *e)
{
	int64_t seed, scheduler;
	int r = two_ids(c, &seed, &scheduler, e);

	if (r == 0)
		r = db_run(c->rest->db, NULL, e,
			   "INSERT INTO cluster_links (seed_peer_cluster_id, scheduler_cluster_id)"
			   " VALUES (?, ?)",
			   "ii", seed, scheduler);
	if (r == -EINVAL)
		return err_set(e, ENOENT, "no such cluster");
	if (r == -EEXIST)
		return err_set(e, EEXIST, "the clusters are linked already");
	return r;
}

/* ---- routes */

#define P "/api/v1/"

const struct route rest_tables_routes[] = {
	RESOURCE_CRUD(P "scheduler-clusters", &scheduler_clusters, scheduler_cluster_fields,
		      "scheduler cluster"),
	{"PUT", P "scheduler-clusters/:id/schedulers/:scheduler_id", ACCESS_USER, move_scheduler,
	 "Move a scheduler to the cluster", NULL, NULL, NULL, ROUTE_EMPTY},
	RESOURCE_CRUD(P "schedulers", &schedulers, scheduler_fields, "scheduler"),
	{"GET", P "scheduler-features", ACCESS_USER, scheduler_features, "What schedulers can do",
	 NULL, NULL, NULL, ROUTE_TEXTS},
	RESOURCE_CRUD(P "seed-peer-clusters", &seed_peer_clusters, seed_peer_cluster_fields,
		      "seed peer cluster"),
	{"PUT", P "seed-peer-clusters/:id/seed-peers/:seed_peer_id", ACCESS_USER, move_seed_peer,
	 "Move a seed peer to the cluster", NULL, NULL, NULL, ROUTE_EMPTY},
	{"PUT", P "seed-peer-clusters/:id/scheduler-clusters/:scheduler_cluster_id", ACCESS_USER,
	 link_clusters, "Let the cluster feed a scheduler cluster", NULL, NULL, NULL, ROUTE_EMPTY},
	RESOURCE_CRUD(P "seed-peers", &seed_peers, seed_peer_fields, "seed peer"),
	RESOURCE_READ(P "peers", &peers, peer_fields, "peer"),
	RESOURCE_MAKE(P "peers", &peers, peer_fields, "peer"),
	{0},
};
