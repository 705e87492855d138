/* Routes and fields as OpenAPI 3.1. */
#include "control/manager/openapi.h"

#include "base/mem.h"
#include "control/manager/access.h"
#include "control/manager/resource.h"

#include <ctype.h>
#include <string.h>

/* "/users/:id" is "/users/{id}" there. */
static char *path_template(const char *path, json_t *parameters)
{
	struct buf out = BUF_INIT(1024);

	while (*path) {
		size_t n = strcspn(path, ":"), m;

		buf_append(&out, path, n);
		path += n;
		if (!*path)
			break;
		m = strcspn(++path, "/");
		buf_printf(&out, "{%.*s}", (int)m, path);
		json_array_append_new(parameters,
				      json_pack("{s:o, s:s, s:b, s:{s:s}}", "name",
						json_stringn(path, m), "in", "path", "required", 1,
						"schema", "type", "string"));
		path += m;
	}
	return buf_take(&out);
}

static void add_query(json_t *parameters, const char *name, const char *type)
{
	json_array_append_new(parameters, json_pack("{s:s, s:s, s:{s:s}}", "name", name, "in",
						    "query", "schema", "type", type));
}

static void add_list_parameters(json_t *parameters, const struct route *r)
{
	if (r->flags & ROUTE_NEEDS_QUERY)
		add_query(parameters, "scheduler_cluster_id", "integer");
	if (!(r->flags & ROUTE_LIST))
		return;
	add_query(parameters, "page", "integer");
	add_query(parameters, "per_page", "integer");
	if (r->resource)
		add_query(parameters, "sort", "string");
	for (const struct field *f = r->shape; f && f->name; f++)
		if (f->flags & FIELD_FILTER)
			add_query(parameters, f->name, f->type == FIELD_INT ? "integer" : "string");
}

static json_t *json_content(json_t *schema)
{
	return json_pack("{s:{s:o}}", "application/json", "schema", schema);
}

/* The rate limit of jobs speaks as Dragonfly's does. */
static json_t *refusal_content(int status)
{
	json_t *content = json_content(json_pack("{s:s}", "$ref", "#/components/schemas/Refusal"));

	if (status == 429)
		json_object_set_new(content, "text/plain",
				    json_pack("{s:{s:s}}", "schema", "type", "string"));
	return content;
}

static json_t *row_schema(const struct route *r)
{
	json_t *schema = r->shape ? fields_schema(r->shape, false) : json_object(), *properties;

	properties = json_object_get(schema, "properties");
	if (properties && (r->resource || (r->flags & ROUTE_ROW))) {
		json_object_set_new(properties, "id", json_pack("{s:s}", "type", "integer"));
		json_object_set_new(
			properties, "created_at",
			json_pack("{s:s, s:s}", "type", "string", "format", "date-time"));
		json_object_set_new(
			properties, "updated_at",
			json_pack("{s:s, s:s}", "type", "string", "format", "date-time"));
		json_object_set_new(properties, "is_del", json_pack("{s:s}", "type", "integer"));
	}
	return r->flags & ROUTE_LIST ? json_pack("{s:s, s:o}", "type", "array", "items", schema)
				     : schema;
}

/* OpenAPI has no words for what an event is: a line of it is the same route without "/events". */
static json_t *events_content(void)
{
	return json_pack("{s:{s:{s:s, s:s}}}", "text/event-stream", "schema", "type", "string",
			 "description", "Events whose data is the same as without /events.");
}

/* What is answered when it went well, NULL for nothing. */
static json_t *good_content(const struct route *r)
{
	json_t *text = NULL;

	if (r->flags & (ROUTE_EMPTY | ROUTE_REDIRECT))
		return NULL;
	if (r->flags & ROUTE_EVENTS)
		return events_content();
	if (!(r->flags & (ROUTE_TEXT | ROUTE_TEXTS)))
		return json_content(row_schema(r));
	text = json_pack("{s:s}", "type", "string");
	if (r->flags & ROUTE_TEXTS)
		text = json_pack("{s:s, s:o}", "type", "array", "items", text);
	if ((r->flags & ROUTE_TEXT) && (r->flags & ROUTE_TEXTS))
		text = json_pack("{s:s, s:o}", "type", "array", "items", text);
	return json_content(text);
}

/* Which refusals a route can answer. */
static bool can_refuse(const struct route *r, int status)
{
	bool changes = strcmp(r->method, "GET") != 0, asks = r->access != ACCESS_PUBLIC;

	switch (status) {
	case 400:
		return r->body && strstr(r->path, "/jobs");
	case 401:
		return asks || r->body || (r->flags & ROUTE_REDIRECT) || strstr(r->path, "refresh");
	case 403:
		return asks || changes;
	case 404:
		return strchr(r->path, ':') || changes;
	case 409:
		return changes;
	case 408:
	case 413:
		return r->body;
	case 422:
		return r->body || (r->flags & (ROUTE_LIST | ROUTE_REDIRECT | ROUTE_NEEDS_QUERY));
	case 429:
		return r->body && (!asks || strstr(r->path, "/jobs"));
	default:
		return r->flags & ROUTE_ELSEWHERE;
	}
}

static json_t *responses(const struct route *r)
{
	static const struct {
		int status;
		const char *why;
	} refusals[] = {
		{400, "Not taken here."},
		{401, "Nobody is signed in, or may not."},
		{403, "Not permitted, or from a foreign page."},
		{404, "There is no such thing."},
		{408, "The body came too slowly."},
		{409, "It is there already, or in use."},
		{413, "The body is larger than 1 MiB."},
		{422, "What was sent is no good: errors says why."},
		{429, "Too often: wait."},
		{502, "Another program answered something odd."},
		{503, "Too much is going on, or nobody answers: try again."},
	};
	json_t *all = json_object(), *good = json_pack("{s:s}", "description", "Done."),
	       *content = good_content(r);
	char status[8];

	if (content)
		json_object_set_new(good, "content", content);
	json_object_set_new(all, r->flags & ROUTE_REDIRECT ? "302" : "200", good);
	for (size_t i = 0; i < array_len(refusals); i++) {
		if (!can_refuse(r, refusals[i].status))
			continue;
		snprintf(status, sizeof(status), "%d", refusals[i].status);
		json_object_set_new(all, status,
				    json_pack("{s:s, s:o}", "description", refusals[i].why,
					      "content", refusal_content(refusals[i].status)));
	}
	json_object_set_new(all, "default",
			    json_pack("{s:s}", "$ref", "#/components/responses/Refused"));
	return all;
}

static json_t *security(enum access access)
{
	if (access == ACCESS_PUBLIC)
		return json_array();
	if (access == ACCESS_TOKEN)
		return json_pack("[{s:[]}]", "personalAccessToken");
	return json_pack("[{s:[]}, {s:[]}]", "jwt", "cookie");
}

/* "getApiV1ClustersId". Paths that differ in punctuation alone would collide: the tests look. */
static json_t *operation_id(const struct route *r)
{
	struct buf id cleanup(buf_release) = BUF_INIT(256);
	bool start = true;

	for (const char *p = r->method; *p; p++)
		buf_printf(&id, "%c", tolower(*p));
	for (const char *p = r->path; *p; p++) {
		if (isalnum((unsigned char)*p))
			buf_printf(&id, "%c", start ? toupper(*p) : *p);
		start = !isalnum((unsigned char)*p);
	}
	return json_string(id.data);
}

/* A change may leave out anything, and leaves as it is what it leaves out. */
static json_t *body_schema(const struct route *r)
{
	json_t *schema = fields_schema(r->body, true), *member;
	const char *name;

	if (strcmp(r->method, "PATCH") != 0)
		return schema;
	json_object_del(schema, "required");
	json_object_foreach(json_object_get(schema, "properties"), name, member)
	{
		json_object_del(member, "default");
	}
	for (const struct field *f = r->body; f->name; f++)
		if (f->flags & FIELD_CREATE_ONLY)
			json_object_del(json_object_get(schema, "properties"), f->name);
	return schema;
}

static json_t *operation(const struct route *r, json_t *parameters)
{
	json_t *op = json_object();
	char object[64];

	access_object(r->path, object, sizeof(object));
	json_object_set_new(op, "operationId", operation_id(r));
	json_object_set_new(op, "summary", json_string(r->summary));
	json_object_set_new(op, "tags", json_pack("[s]", object));
	json_object_set_new(op, "security", security(r->access));
	add_list_parameters(parameters, r);
	if (json_array_size(parameters))
		json_object_set(op, "parameters", parameters);
	if (r->body)
		json_object_set_new(op, "requestBody",
				    json_pack("{s:b, s:o}", "required", 1, "content",
					      json_content(body_schema(r))));
	json_object_set_new(op, "responses", responses(r));
	return op;
}

static void add_route(json_t *paths, const struct route *r)
{
	json_t *parameters cleanup(json_decref_at) = json_array(), *item;
	char *path cleanup(free_at) = path_template(r->path, parameters);
	char method[8] = "";

	for (size_t i = 0; r->method[i] && i < sizeof(method) - 1; i++)
		method[i] = (char)tolower(r->method[i]);
	item = json_object_get(paths, path);
	if (!item) {
		item = json_object();
		json_object_set_new(paths, path, item);
	}
	json_object_set_new(item, method, operation(r, parameters));
}

static json_t *components(void)
{
	json_t *schemes = json_pack("{s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s}, s:{s:s, s:s}}", "jwt",
				    "type", "http", "scheme", "bearer", "bearerFormat", "JWT",
				    "cookie", "type", "apiKey", "in", "cookie", "name", "jwt",
				    "personalAccessToken", "type", "http", "scheme", "bearer");
	json_t *refusal = json_pack("{s:s, s:{s:{s:s}, s:{s:s}}}", "type", "object", "properties",
				    "message", "type", "string", "errors", "type", "string");

	return json_pack("{s:o, s:{s:o}, s:{s:{s:s, s:o}}}", "securitySchemes", schemes, "schemas",
			 "Refusal", refusal, "responses", "Refused", "description",
			 "What no program should have to expect.", "content", refusal_content(0));
}

json_t *openapi_document(void)
{
	json_t *paths = json_object();

	for (const struct route *const *table = rest_routes(); *table; table++)
		for (const struct route *r = *table; r->method; r++)
			add_route(paths, r);
	return json_pack(
		"{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:[{s:s}], s:o, s:o}", "openapi", "3.1.0",
		"info", "title", "Skimmer manager", "version", SKIMMER_VERSION, "description",
		"Clusters, people and jobs. Lists are bare arrays, pages are in the header "
		"Link.",
		"license", "name", "Apache-2.0", "identifier", "Apache-2.0", "servers", "url", "/",
		"paths", paths, "components", components());
}

int openapi_answer(struct rest_call *c, struct err *e)
{
	(void)e;
	rest_json(c, openapi_document());
	return 0;
}
