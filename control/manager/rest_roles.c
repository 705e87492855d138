/* Roles: a name and what it permits, object by object. */
#include "control/manager/rest_roles.h"

#include "control/manager/access.h"
#include "control/manager/cluster_fields.h"
#include "control/manager/users.h"

#include <errno.h>
#include <string.h>

#define OBJECTS_MAX 64

static const struct field permission_fields[] = {
	{.name = "object",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED,
	 .min = 1,
	 .max = 63,
	 .help = "The first part of the path, such as clusters."},
	{.name = "action", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .words = "read|*"},
	{0},
};
static const struct field permission = {.type = FIELD_OBJECT, .members = permission_fields};
static const struct field role_fields[] = {
	{.name = "role",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED,
	 .min = 1,
	 .max = 64,
	 .check = field_check_line},
	{.name = "permissions", .type = FIELD_LIST, .members = &permission, .fallback = "[]"},
	{0},
};

size_t rest_roles_objects(char (*out)[64], size_t max)
{
	size_t count = 0;

	for (const struct route *const *table = rest_routes(); *table; table++) {
		for (const struct route *r = *table; r->method; r++) {
			size_t i = 0;

			if (r->access != ACCESS_USER || count == max)
				continue;
			access_object(r->path, out[count], sizeof(*out));
			while (strcmp(out[i], out[count]) != 0)
				i++;
			count += i == count;
		}
	}
	return count;
}

static int permissions(struct rest_call *c, struct err *e)
{
	char objects[OBJECTS_MAX][64];
	size_t count = rest_roles_objects(objects, OBJECTS_MAX);
	json_t *list = json_array();

	(void)e;
	for (size_t i = 0; i < count; i++) {
		json_array_append_new(
			list, json_pack("{s:s, s:s}", "object", objects[i], "action", "read"));
		json_array_append_new(list,
				      json_pack("{s:s, s:s}", "object", objects[i], "action", "*"));
	}
	rest_json(c, list);
	return 0;
}

static bool is_object(const char *name)
{
	char objects[OBJECTS_MAX][64];
	size_t count = rest_roles_objects(objects, OBJECTS_MAX);

	for (size_t i = 0; i < count; i++)
		if (strcmp(objects[i], name) == 0)
			return true;
	return false;
}

static bool is_built_in(const char *role)
{
	return strcmp(role, USERS_ROOT) == 0 || strcmp(role, USERS_GUEST) == 0;
}

static int role_exists(struct rest_call *c, const char *role, struct err *e)
{
	int64_t count = 0;
	int r = db_number(c->rest->db, &count, e, "SELECT COUNT(*) FROM roles WHERE name = ?", "s",
			  role);

	return r == 0 && !count ? err_set(e, ENOENT, "no such role") : r;
}

static int add_permission(struct db *db, const char *role, const json_t *p, struct err *e)
{
	int r;

	if (!is_object(json_str(p, "object")))
		return err_set(e, EINVAL, "object: see /api/v1/permissions for what there is");
	r = db_run(db, NULL, e,
		   "INSERT INTO role_permissions (role, object, action) VALUES (?, ?, ?)", "sss",
		   role, json_str(p, "object"), json_str(p, "action"));
	if (r == -EEXIST)
		return err_set(e, EEXIST, "the role has this permission already");
	return r == -EINVAL ? err_set(e, ENOENT, "no such role") : r;
}

static int insert(struct db *db, const json_t *taken, struct err *e)
{
	const char *role = json_str(taken, "role");
	int r = db_run(db, NULL, e, "INSERT INTO roles (name) VALUES (?)", "s", role);
	json_t *p;
	size_t i;

	if (r == -EEXIST)
		return err_set(e, EEXIST, "there is a role of this name already");
	json_array_foreach(json_object_get(taken, "permissions"), i, p)
	{
		if (r == 0)
			r = add_permission(db, role, p, e);
	}
	return r;
}

static int take_body(struct rest_call *c, const struct field *fields, json_t **out, struct err *e)
{
	json_t *body cleanup(json_decref_at) = NULL;
	int r = rest_body(c, &body, e);

	return r < 0 ? r : fields_take(fields, body, true, out, e);
}

static int create(struct rest_call *c, struct err *e)
{
	json_t *taken cleanup(json_decref_at) = NULL;
	int r = take_body(c, role_fields, &taken, e);

	if (r == 0)
		r = db_begin(c->rest->db, e);
	return r < 0 ? r : db_finish(c->rest->db, insert(c->rest->db, taken, e), e);
}

static int list(struct rest_call *c, struct err *e)
{
	struct query q;

	query_start(c->rest->db, &q, e, "SELECT name FROM roles ORDER BY name", "");
	return rest_texts(c, &q);
}

static int get(struct rest_call *c, struct err *e)
{
	json_t *rows cleanup(json_decref_at) = json_array();
	struct query q;
	int r = role_exists(c, c->params[0], e);

	if (r < 0)
		return r;
	query_start(c->rest->db, &q, e,
		    "SELECT role, object, action FROM role_permissions WHERE role = ?"
		    " ORDER BY object, action",
		    "s", c->params[0]);
	while (query_next(&q))
		json_array_append_new(rows, json_pack("[s, s, s]", query_text(&q, 0),
						      query_text(&q, 1), query_text(&q, 2)));
	r = query_end(&q);
	if (r == 0)
		rest_json(c, take_ptr(&rows));
	return r;
}

static int delete (struct rest_call *c, struct err *e)
{
	int64_t changed = 0;
	int r;

	if (is_built_in(c->params[0]))
		return err_set(e, EBUSY, "this role is built in");
	r = db_run(c->rest->db, &changed, e, "DELETE FROM roles WHERE name = ?", "s", c->params[0]);
	return r == 0 && !changed ? err_set(e, ENOENT, "no such role") : r;
}

static int permit(struct rest_call *c, struct err *e)
{
	json_t *taken cleanup(json_decref_at) = NULL;
	int r = take_body(c, permission_fields, &taken, e);

	return r < 0 ? r : add_permission(c->rest->db, c->params[0], taken, e);
}

static int forbid(struct rest_call *c, struct err *e)
{
	json_t *taken cleanup(json_decref_at) = NULL;
	int64_t changed = 0;
	int r = take_body(c, permission_fields, &taken, e);

	if (r == 0 && strcmp(c->params[0], USERS_ROOT) == 0)
		return err_set(e, EBUSY, "the role " USERS_ROOT " may everything");
	if (r == 0)
		r = db_run(c->rest->db, &changed, e,
			   "DELETE FROM role_permissions WHERE role = ? AND object = ?"
			   " AND action = ?",
			   "sss", c->params[0], json_str(taken, "object"),
			   json_str(taken, "action"));
	return r == 0 && !changed ? err_set(e, ENOENT, "the role has no such permission") : r;
}

#define R "/api/v1/roles"

const struct route rest_roles_routes[] = {
	{"POST", R, ACCESS_USER, create, "Make a role", NULL, role_fields, NULL, ROUTE_EMPTY},
	{"GET", R, ACCESS_USER, list, "Names of roles", NULL, NULL, NULL, ROUTE_TEXTS},
	{"GET", R "/:role", ACCESS_USER, get, "Permissions of a role", NULL, NULL, NULL,
	 ROUTE_TEXT | ROUTE_TEXTS},
	{"DELETE", R "/:role", ACCESS_USER, delete, "Remove a role", NULL, NULL, NULL, ROUTE_EMPTY},
	{"POST", R "/:role/permissions", ACCESS_USER, permit, "Add a permission", NULL,
	 permission_fields, NULL, ROUTE_EMPTY},
	{"DELETE", R "/:role/permissions", ACCESS_USER, forbid, "Take a permission", NULL,
	 permission_fields, NULL, ROUTE_EMPTY},
	{"GET", "/api/v1/permissions", ACCESS_USER, permissions, "What there is to permit", NULL,
	 NULL, permission_fields, ROUTE_LIST},
	{0},
};
