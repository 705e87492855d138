/*
 * Persistent cache tasks, and the buckets and models of Dragonfly 2.1: there are none here, so
 * lists are empty and nothing is found. Dragonfly's console and scripts ask for them all the same.
 */
#include "control/manager/rest_absent.h"

#include <errno.h>
#include <stdlib.h>

static const struct field task_fields[] = {
	{.name = "id", .type = FIELD_TEXT},
	{.name = "persistent_replica_count", .type = FIELD_INT},
	{.name = "tag", .type = FIELD_TEXT},
	{.name = "application", .type = FIELD_TEXT},
	{.name = "piece_length", .type = FIELD_INT},
	{.name = "content_length", .type = FIELD_INT},
	{.name = "total_piece_count", .type = FIELD_INT},
	{.name = "state", .type = FIELD_TEXT},
	{.name = "ttl", .type = FIELD_INT, .help = "Nanoseconds."},
	{.name = "created_at", .type = FIELD_TIME},
	{.name = "updated_at", .type = FIELD_TIME},
	{.name = "scheduler_cluster_id",
	 .type = FIELD_INT,
	 .flags = FIELD_WRITE_ONLY | FIELD_FILTER,
	 .help = "Has to be given."},
	{0},
};
static const struct field bucket_fields[] = {{.name = "name", .type = FIELD_TEXT}, {0}};
static const struct field model_fields[] = {
	{.name = "id", .type = FIELD_INT}, {.name = "name", .type = FIELD_TEXT}, {0}};

static int no_list(struct rest_call *c, struct err *e)
{
	struct rest_page page;
	int r = rest_page(c, &page, e);

	if (r < 0)
		return r;
	rest_json(c, json_array());
	rest_link(c, &page, 0);
	return 0;
}

static int needs_cluster(struct rest_call *c, struct err *e)
{
	char *text cleanup(free_at) = rest_query(c, "scheduler_cluster_id");

	if (!text || strtoll(text, NULL, 10) < 1)
		return err_set(e, EINVAL, "scheduler_cluster_id is needed");
	return 0;
}

static int no_tasks(struct rest_call *c, struct err *e)
{
	int r = needs_cluster(c, e);

	return r < 0 ? r : no_list(c, e);
}

static int no_task(struct rest_call *c, struct err *e)
{
	int r = needs_cluster(c, e);

	return r < 0 ? r : err_set(e, ENOENT, "no such persistent cache task: there are none here");
}

static int none(struct rest_call *c, struct err *e)
{
	(void)c;
	return err_set(e, ENOENT, "there are none here");
}

/* Dragonfly's description of its API is at /swagger; ours is elsewhere. */
static int to_document(struct rest_call *c, struct err *e)
{
	(void)e;
	c->answer->status = 302;
	web_header(c->answer, "Location", "/api/openapi.json");
	return 0;
}

#define P     "/api/v1/"
#define TASKS P "persistent-cache-tasks"

const struct route rest_absent_routes[] = {
	{"GET", TASKS, ACCESS_USER, no_tasks, "Persistent cache tasks: none", NULL, NULL,
	 task_fields, ROUTE_LIST},
	{"GET", TASKS "/:id", ACCESS_USER, no_task, "One of them: none", NULL, NULL, task_fields,
	 ROUTE_NEEDS_QUERY},
	{"DELETE", TASKS "/:id", ACCESS_USER, no_task, "Remove one: none", NULL, NULL, NULL,
	 ROUTE_EMPTY | ROUTE_NEEDS_QUERY},
	{"GET", P "buckets", ACCESS_USER, no_list, "Buckets of 2.1: none", NULL, NULL,
	 bucket_fields, ROUTE_LIST},
	{"GET", P "buckets/:id", ACCESS_USER, none, "One of them: none", NULL, NULL, bucket_fields,
	 0},
	{"GET", P "models", ACCESS_USER, no_list, "Models of 2.1: none", NULL, NULL, model_fields,
	 ROUTE_LIST},
	{"GET", P "models/:id", ACCESS_USER, none, "One of them: none", NULL, NULL, model_fields,
	 0},
	{"GET", "/swagger", ACCESS_PUBLIC, to_document, "Where Dragonfly's description is", NULL,
	 NULL, NULL, ROUTE_REDIRECT},
	{"GET", "/swagger/:file", ACCESS_PUBLIC, to_document, "The same", NULL, NULL, NULL,
	 ROUTE_REDIRECT},
	{0},
};
