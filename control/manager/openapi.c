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
	if (!(r->flags & ROUTE_LIST))
		return;
	add_query(parameters, "page", "integer");
	add_query(parameters, "per_page", "integer");
	for (const struct field *f = r->shape; f && f->name; f++)
		if (f->flags & FIELD_FILTER)
			add_query(parameters, f->name, f->type == FIELD_INT ? "integer" : "string");
}

static json_t *json_content(json_t *schema)
{
	return json_pack("{s:{s:o}}", "application/json", "schema", schema);
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

static json_t *responses(const struct route *r)
{
	json_t *all = json_object(), *good = json_pack("{s:s}", "description", "Done.");

	if (r->flags & ROUTE_EVENTS)
		json_object_set_new(good, "content", events_content());
	else if (!(r->flags & ROUTE_EMPTY))
		json_object_set_new(good, "content", json_content(row_schema(r)));
	json_object_set_new(all, "200", good);
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

/* "getApiV1ClustersId": unique, as paths are. */
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
					      json_content(fields_schema(r->body, true))));
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

	return json_pack("{s:o, s:{s:{s:s, s:o}}}", "securitySchemes", schemes, "responses",
			 "Refused", "description", "Refused: 401, 403, 404, 409, 413, 422, 429.",
			 "content", json_content(refusal));
}

json_t *openapi_document(void)
{
	json_t *paths = json_object();

	for (const struct route *const *table = rest_routes(); *table; table++)
		for (const struct route *r = *table; r->method; r++)
			add_route(paths, r);
	return json_pack(
		"{s:s, s:{s:s, s:s, s:s, s:{s:s}}, s:[{s:s}], s:o, s:o}", "openapi", "3.1.0",
		"info", "title", "Skimmer manager", "version", SKIMMER_VERSION, "description",
		"Clusters, people and jobs. Lists are bare arrays, pages are in the header "
		"Link.",
		"license", "name", "Apache-2.0", "servers", "url", "/", "paths", paths,
		"components", components());
}

int openapi_answer(struct rest_call *c, struct err *e)
{
	(void)e;
	rest_json(c, openapi_document());
	return 0;
}
