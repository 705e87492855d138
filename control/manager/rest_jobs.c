/* Jobs over REST: what is asked for is checked here, jobs.c brings it to its end. */
#include "control/manager/rest_jobs.h"

#include "base/clock.h"
#include "base/mem.h"
#include "control/manager/cluster_fields.h"
#include "control/manager/gc.h"
#include "control/manager/job_fields.h"
#include "control/manager/job_work.h"
#include "control/manager/jobs.h"
#include "control/manager/limiter.h"
#include "control/manager/resource.h"

#include <errno.h>
#include <string.h>

#define RATE_DEFAULT 10

/* ---- rows */

#define SHOWN(name_, type_)                                                                        \
	{                                                                                          \
		.name = name_, .type = type_, .flags = FIELD_READ_ONLY                             \
	}

static const struct field job_fields[] = {
	{.name = "task_id", .type = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_FILTER},
	FIELD_BIO,
	{.name = "type", .type = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_FILTER},
	{.name = "state", .type = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_FILTER},
	SHOWN("args", FIELD_OBJECT),
	SHOWN("result", FIELD_OBJECT),
	{.name = "user_id",
	 .type = FIELD_INT,
	 .flags = FIELD_NULLABLE | FIELD_FILTER,
	 .min = 0,
	 .max = INT64_MAX},
	{.name = "user", .type = FIELD_OBJECT, .flags = FIELD_READ_ONLY | FIELD_NO_COLUMN},
	{.name = "scheduler_clusters",
	 .type = FIELD_LIST,
	 .flags = FIELD_READ_ONLY | FIELD_NO_COLUMN,
	 .members = &(const struct field){.type = FIELD_OBJECT}},
	{.name = "seed_peer_clusters",
	 .type = FIELD_LIST,
	 .flags = FIELD_READ_ONLY | FIELD_NO_COLUMN,
	 .members = &(const struct field){.type = FIELD_OBJECT}},
	{0},
};

/* Where Dragonfly has it. */
static void add_purged(json_t *row)
{
	json_t *result = json_object_get(row, "result");
	const json_t *state = json_array_get(json_object_get(result, "job_states"), 0);
	json_t *purged =
		json_object_get(json_array_get(json_object_get(state, "results"), 0), "purged");

	if (purged)
		json_object_set(result, "purged", purged);
}

static int add_user(struct rest_call *c, json_t *row, struct err *e)
{
	struct query q;

	query_start(c->rest->db, &q, e, "SELECT name FROM users WHERE id = ?", "i",
		    (int64_t)json_u64(row, "user_id", 0));
	if (query_next(&q))
		json_object_set_new(row, "user",
				    json_pack("{s:O, s:s}", "id", json_object_get(row, "user_id"),
					      "name", query_text(&q, 0)));
	return query_end(&q);
}

static int extend_job(struct rest_call *c, json_t *row, struct err *e)
{
	json_t *clusters = json_array();
	struct query q;

	json_object_set_new(row, "scheduler_clusters", clusters);
	json_object_set_new(row, "seed_peer_clusters", json_array());
	add_purged(row);
	if (add_user(c, row, e) < 0)
		return -e->code;
	query_start(c->rest->db, &q, e,
		    "SELECT c.id, c.name FROM job_clusters j JOIN scheduler_clusters c"
		    " ON c.id = j.scheduler_cluster_id WHERE j.job_id = ? ORDER BY c.id",
		    "i", (int64_t)json_u64(row, "id", 0));
	while (query_next(&q))
		json_array_append_new(clusters,
				      json_pack("{s:I, s:s}", "id", (json_int_t)query_int(&q, 0),
						"name", query_text(&q, 1)));
	return query_end(&q);
}

static const struct resource jobs = {.singular = "job",
				     .table = "jobs",
				     .order = "id DESC",
				     .fields = job_fields,
				     .extend = extend_job};

/* ---- making */

/* What a POST asks for. */
struct order {
	json_t *body, *args;
	int64_t *clusters;
	size_t cluster_count;
};

static void order_release(struct order *o)
{
	json_decref(o->body);
	json_decref(o->args);
	free(o->clusters);
}

static int answer_row(struct rest_call *c, int64_t id, struct err *e)
{
	json_t *row = NULL;
	int r = resource_row(c, &jobs, id, &row, e);

	if (r == 0)
		rest_json(c, row);
	return r;
}

static int take_clusters(struct rest_call *c, struct order *o, struct err *e)
{
	json_t *ids = json_object_get(o->body, "scheduler_cluster_ids"), *id;
	size_t i;

	if (!json_array_size(ids))
		return job_active_clusters(c->rest->db, &o->clusters, &o->cluster_count, e);
	o->clusters = mem_array(json_array_size(ids), sizeof(*o->clusters));
	json_array_foreach(ids, i, id)
	{
		o->clusters[o->cluster_count++] = json_integer_value(id);
	}
	return 0;
}

/* 1 within the clusters' limits, 0 not, -errno. */
static int within_rate(struct rest_call *c, const struct order *o, struct err *e)
{
	for (size_t i = 0; i < o->cluster_count; i++) {
		json_t *config cleanup(json_decref_at) = NULL;
		char key[48];
		struct query q;
		bool found;

		query_start(c->rest->db, &q, e,
			    "SELECT config FROM scheduler_clusters WHERE id = ?", "i",
			    o->clusters[i]);
		found = query_next(&q);
		if (found)
			config = json_loads(query_text(&q, 0), 0, NULL);
		if (query_end(&q) < 0)
			return -e->code;
		if (!found)
			return err_set(e, ENOENT, "no scheduler cluster %lld",
				       (long long)o->clusters[i]);
		snprintf(key, sizeof(key), "job %lld", (long long)o->clusters[i]);
		if (!limiter_take(c->rest->limiter, key,
				  (unsigned)json_u64(config, "job_rate_limit", RATE_DEFAULT), 1000))
			return 0;
	}
	return 1;
}

static int add_job(struct rest_call *c, const struct order *o, struct err *e)
{
	const char *bio = json_str(o->body, "bio");
	int64_t id = 0;
	int r = jobs_add(c->rest->jobs, json_str(o->body, "type"), o->args, bio ? bio : "",
			 (int64_t)json_u64(o->body, "user_id", (uint64_t)c->user_id), o->clusters,
			 o->cluster_count, &id, e);

	return r < 0 ? r : answer_row(c, id, e);
}

static int preheat(struct rest_call *c, const struct order *o, struct err *e)
{
	const char *url = json_str(o->args, "url");

	if ((!url || !*url) && !json_array_size(json_object_get(o->args, "urls")))
		return err_set(e, EINVAL, "args: url or urls is required");
	return add_job(c, o, e);
}

static int task(struct rest_call *c, const struct order *o, struct err *e)
{
	static const char *const selectors[] = {"task_id", "content_for_calculating_task_id",
						"url"};
	bool named = false;

	for (size_t i = 0; i < array_len(selectors); i++) {
		const char *text = json_str(o->args, selectors[i]);

		named |= text && *text;
	}
	if (!named)
		return err_set(e, EINVAL,
			       "args: task_id, content_for_calculating_task_id or url is required");
	return add_job(c, o, e);
}

static int sync_peers(struct rest_call *c, const struct order *o, struct err *e)
{
	for (size_t i = 0; i < o->cluster_count; i++)
		if (job_sync_peers(c->rest->db, o->clusters[i], e) < 0)
			return rest_refuse(c, 502, "%s", e->text);
	rest_json(c, json_string("OK"));
	return 0;
}

static int distribution(struct rest_call *c, const struct order *o, struct err *e)
{
	const char *url = json_str(o->args, "url");
	json_t *out = NULL;

	if (!url || !*url)
		return err_set(e, EINVAL, "args: url is required");
	if (job_image_distribution(c->rest->db, o->args, o->clusters, o->cluster_count, &out, e) <
	    0)
		return rest_refuse(c, e->code == ENOENT ? 404 : 502, "%s", e->text);
	rest_json(c, out);
	return 0;
}

static int gc(struct rest_call *c, const struct order *o, struct err *e)
{
	json_t *states cleanup(json_decref_at) = NULL;
	struct job job = {.task_id = (char *)""};
	int64_t removed = 0, ttl_ms = 0;
	int r = gc_ttl(c->rest->db, json_str(o->args, "type"), &ttl_ms, e);

	if (r == 0)
		r = gc_run(c->rest->db, json_str(o->args, "type"), &removed, e);
	json_object_set_new(o->args, "ttl", json_integer(ttl_ms * 1000000));
	if (r == 0)
		r = jobs_record(c->rest->jobs, "gc", o->args, c->user_id, &job.id, e);
	if (r < 0)
		return r;
	states = json_pack("[{s:s, s:s, s:[{s:I}]}]", "task_name", "gc", "state", "SUCCESS",
			   "results", "purged", (json_int_t)removed);
	jobs_progress(c->rest->jobs, &job, "SUCCESS", states);
	return answer_row(c, job.id, e);
}

static const struct {
	const char *type;
	const struct field *args;
	int (*handle)(struct rest_call *c, const struct order *o, struct err *e);
} kinds[] = {
	{"preheat", job_preheat_fields, preheat},
	{"get_task", job_task_fields, task},
	{"delete_task", job_task_fields, task},
	{"get_image_distribution", job_image_fields, distribution},
	{"gc", job_gc_fields, gc},
	{"sync_peers", NULL, sync_peers},
};

static int take_order(struct rest_call *c, struct order *o, size_t *kind_out, struct err *e)
{
	json_t *body cleanup(json_decref_at) = NULL;
	json_t *args;
	int r = rest_body(c, &body, e);

	if (r == 0)
		r = fields_take(job_body_fields, body, true, &o->body, e);
	if (r < 0)
		return r;
	*kind_out = 0;
	while (strcmp(kinds[*kind_out].type, json_str(o->body, "type")) != 0)
		(*kind_out)++;
	args = json_object_get(o->body, "args");
	if (json_object_get(args, "object_storage") || json_object_get(args, "hdfs"))
		return err_set(e, ENOTSUP, "args: object_storage and hdfs are not taken");
	if (kinds[*kind_out].args &&
	    fields_take(kinds[*kind_out].args, args, true, &o->args, e) < 0)
		return err_wrap(e, "args");
	return take_clusters(c, o, e);
}

static int run_order(struct rest_call *c, const struct order *o, size_t kind, struct err *e)
{
	int r = within_rate(c, o, e);

	if (r < 0)
		return r;
	if (r == 0) {
		c->answer->status = 429;
		web_header(c->answer, "Content-Type", "text/plain; charset=utf-8");
		web_header(c->answer, "Retry-After", "1");
		buf_puts(&c->answer->body, "rate limit exceeded");
		return 0;
	}
	return kinds[kind].handle(c, o, e);
}

static int create(struct rest_call *c, struct err *e)
{
	struct order o cleanup(order_release) = {0};
	size_t kind;
	int r = take_order(c, &o, &kind, e);

	return r < 0 ? r : run_order(c, &o, kind, e);
}

/* ---- the API of before 2.2, which Harbor's first provider speaks */

static const struct field old_fields[] = {
	{.name = "type", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .words = "image|file"},
	{.name = "url",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED,
	 .min = 1,
	 .max = 16384,
	 .check = field_check_url},
	{.name = "filter", .type = FIELD_TEXT, .max = 4096},
	{.name = "headers", .type = FIELD_OBJECT},
	{0},
};

static const struct field old_made_fields[] = {{.name = "id", .type = FIELD_TEXT}, {0}};
static const struct field old_job_fields[] = {
	{.name = "id", .type = FIELD_TEXT},
	{.name = "status", .type = FIELD_TEXT, .words = "WAITING|RUNNING|SUCCESS|FAIL"},
	{.name = "startTime", .type = FIELD_TIME},
	{.name = "finishTime", .type = FIELD_TIME},
	{0},
};

static int old_create(struct rest_call *c, struct err *e)
{
	struct order o cleanup(order_release) = {0};
	json_t *body cleanup(json_decref_at) = NULL;
	json_t *filter;
	char id_text[24];
	int64_t id = 0;
	int r = rest_body(c, &body, e);

	if (r == 0)
		r = fields_take(old_fields, body, true, &o.args, e);
	if (r < 0)
		return r;
	filter = json_object_get(o.args, "filter");
	if (filter)
		json_object_set(o.args, "filtered_query_params", filter);
	json_object_set_new(o.args, "scope", json_string("single_seed_peer"));
	o.body = json_object();
	r = take_clusters(c, &o, e);
	if (r == 0)
		r = jobs_add(c->rest->jobs, "preheat", o.args, "", c->user_id, o.clusters,
			     o.cluster_count, &id, e);
	if (r < 0)
		return r;
	snprintf(id_text, sizeof(id_text), "%lld", (long long)id);
	rest_json(c, json_pack("{s:s}", "id", id_text));
	return 0;
}

static const char *old_state(const char *state)
{
	if (strcmp(state, "PENDING") == 0)
		return "WAITING";
	if (strcmp(state, "STARTED") == 0)
		return "RUNNING";
	return strcmp(state, "SUCCESS") == 0 ? "SUCCESS" : "FAIL";
}

static int old_get(struct rest_call *c, struct err *e)
{
	json_t *row cleanup(json_decref_at) = NULL;
	const char *state;
	int64_t id;
	int r = rest_id(c, 0, &id, e);

	if (r == 0)
		r = resource_row(c, &jobs, id, &row, e);
	if (r < 0)
		return r;
	state = old_state(json_str(row, "state"));
	rest_json(c, json_pack("{s:s, s:s, s:s, s:s}", "id", c->params[0], "status", state,
			       "startTime", json_str(row, "created_at"), "finishTime",
			       json_str(row, "updated_at")));
	return 0;
}

#define ROUTES(prefix, who)                                                                        \
	{"POST", prefix "jobs",	  who,	      create,	      "Start a job",                       \
	 &jobs,	 job_body_fields, job_fields, ROUTE_ELSEWHERE},                                    \
		{"GET", prefix "jobs", who,	   resource_list, "List jobs, newest first",       \
		 &jobs, NULL,	       job_fields, ROUTE_LIST},                                    \
		{"GET", prefix "jobs/:id", who, resource_get, "One job", &jobs,                    \
		 NULL,	job_fields,	   0},                                                     \
		{"PATCH",                                                                          \
		 prefix "jobs/:id",                                                                \
		 who,                                                                              \
		 resource_update,                                                                  \
		 "Change what is said of a job",                                                   \
		 &jobs,                                                                            \
		 job_fields,                                                                       \
		 job_fields,                                                                       \
		 0},                                                                               \
	{                                                                                          \
		"DELETE", prefix "jobs/:id", who, resource_delete, "Forget a job", &jobs, NULL,    \
			NULL, ROUTE_EMPTY                                                          \
	}

const struct route rest_jobs_routes[] = {
	ROUTES("/api/v1/", ACCESS_USER),
	ROUTES("/oapi/v1/", ACCESS_TOKEN),
	{"POST", "/preheats", ACCESS_TOKEN, old_create, "Preheat, as before 2.2", NULL, old_fields,
	 old_made_fields, 0},
	{"GET", "/preheats/:id", ACCESS_TOKEN, old_get, "A preheat, as before 2.2", NULL, NULL,
	 old_job_fields, 0},
	{0},
};
