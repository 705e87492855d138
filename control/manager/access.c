/* Access to routes. Refusals have Dragonfly's statuses: 401 also for a role that does not permit.
 */
#include "control/manager/access.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* ---- where a request comes from */

static bool is_allowed_origin(const struct rest_call *c)
{
	const struct config_strings *allowed = &c->rest->config->allowed_origins;

	for (size_t i = 0; i < allowed->count; i++)
		if (strcasecmp(allowed->items[i], c->rq->origin) == 0)
			return true;
	return false;
}

static bool is_own_origin(const struct rest_call *c)
{
	const char *at = strstr(c->rq->origin, "://");

	return at && c->rq->host && strcasecmp(at + 3, c->rq->host) == 0;
}

bool access_foreign(const struct rest_call *c)
{
	const char *site = c->rq->fetch_site;

	if (c->rq->origin)
		return !is_own_origin(c) && !is_allowed_origin(c);
	return site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
}

void access_origin(struct rest_call *c)
{
	if (!c->rq->origin || !is_allowed_origin(c))
		return;
	web_header(c->answer, "Access-Control-Allow-Origin", "%s", c->rq->origin);
	web_header(c->answer, "Access-Control-Allow-Credentials", "true");
	web_header(c->answer, "Access-Control-Expose-Headers", "Link, Location, Authorization");
	web_header(c->answer, "Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE");
	web_header(c->answer, "Access-Control-Allow-Headers", "Authorization, Content-Type");
	web_header(c->answer, "Vary", "Origin");
}

/* ---- tokens of people */

char *access_cookie(const struct rest_call *c, const char *name)
{
	const char *at = c->rq->cookie;
	size_t len = strlen(name);

	while (at && *at) {
		size_t n;

		at += strspn(at, "; ");
		n = strcspn(at, ";");
		if (n > len + 1 && strncmp(at, name, len) == 0 && at[len] == '=')
			return mem_strndup(at + len + 1, n - len - 1);
		at += n;
	}
	return NULL;
}

/* The caller frees. */
static char *bearer_token(const struct rest_call *c)
{
	const char *value = c->rq->authorization;

	if (!value || strncasecmp(value, "Bearer ", 7) != 0)
		return NULL;
	return mem_strdup(value + 7 + strspn(value + 7, " "));
}

bool access_token(struct rest_call *c, bool for_refresh, struct jwt_claims *out)
{
	char *cookie cleanup(free_at) = access_cookie(c, "jwt");
	char *bearer cleanup(free_at) = bearer_token(c);
	char *query cleanup(free_at) = rest_query(c, "token");

	return (cookie && jwt_verify(c->rest->jwt, cookie, for_refresh, out)) ||
	       (bearer && jwt_verify(c->rest->jwt, bearer, for_refresh, out)) ||
	       (query && jwt_verify(c->rest->jwt, query, for_refresh, out));
}

static bool refuse(struct rest_call *c, int status, const char *text)
{
	rest_refuse(c, status, "%s", text);
	return false;
}

static bool refuse_error(struct rest_call *c, struct err *e)
{
	rest_refuse_error(c, e);
	return false;
}

/* 1 a user who may sign in, 0 none, -errno. */
static int look_up_user(struct rest_call *c, const struct jwt_claims *claims, bool *must_change,
			struct err *e)
{
	struct query q;
	bool found;
	int r;

	query_start(c->rest->db, &q, e,
		    "SELECT name, must_change_password FROM users"
		    " WHERE id = ? AND state = 'enable' AND generation = ?",
		    "ii", claims->user_id, claims->generation);
	found = query_next(&q);
	if (found) {
		c->actor = mem_strdup(query_text(&q, 0));
		*must_change = query_int(&q, 1) != 0;
	}
	r = query_end(&q);
	return r < 0 ? r : found;
}

static bool is_reading(const struct rest_call *c)
{
	return strcmp(c->route->method, "GET") == 0;
}

/* 1 yes, 0 no, -errno. */
static int roles_permit(struct rest_call *c, struct err *e)
{
	char object[64];
	int64_t count = 0;
	int r;

	access_object(c->route->path, object, sizeof(object));
	r = db_number(c->rest->db, &count, e,
		      "SELECT COUNT(*) FROM user_roles u JOIN role_permissions p ON p.role = u.role"
		      " WHERE u.user_id = ? AND p.object = ? AND (p.action = '*' OR p.action = ?)",
		      "iss", c->user_id, object, is_reading(c) ? "read" : "*");
	return r < 0 ? r : count > 0;
}

static bool is_self(const struct rest_call *c)
{
	int64_t id;

	return (c->route->flags & ROUTE_SELF) && rest_id(c, 0, &id, NULL) == 0 && id == c->user_id;
}

/* 0 the user may, else -errno of what is to be answered. */
static int check_user(struct rest_call *c, struct err *e)
{
	struct jwt_claims claims;
	bool must_change = false;
	int r;

	if (!access_token(c, false, &claims))
		return err_set(e, EACCES, "sign in: there is no token, or it has expired");
	r = look_up_user(c, &claims, &must_change, e);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(e, EACCES,
			       "sign in again: the user is disabled or has a new password");
	c->user_id = claims.user_id;
	if (is_self(c))
		return 0;
	if (must_change && c->rest->config->require_password_change)
		return err_set(e, EPERM, "change the first password before anything else");
	r = roles_permit(c, e);
	if (r < 0)
		return r;
	return r ? 0 : err_set(e, EACCES, "permission deny");
}

bool access_permits(struct rest_call *c)
{
	return check_user(c, NULL) == 0;
}

/* ---- tokens of robots */

void access_hash(const char *token, char hex_out[65])
{
	sha256_hex(token, strlen(token), hex_out);
}

struct robot {
	char *state, *scopes;
	int64_t expired_ms;
};

static void robot_release(struct robot *r)
{
	free(r->state);
	free(r->scopes);
}

static int look_up_robot(struct rest_call *c, const char *token, struct robot *out, struct err *e)
{
	char hash[65];
	struct query q;
	bool found;
	int r;

	access_hash(token, hash);
	query_start(c->rest->db, &q, e,
		    "SELECT t.name, t.state, t.scopes, t.expired_ms, t.user_id"
		    " FROM personal_access_tokens t JOIN users u ON u.id = t.user_id"
		    " WHERE t.token_hash = ? AND u.state = 'enable'",
		    "s", hash);
	found = query_next(&q);
	if (found) {
		c->actor = mem_strdup(query_text(&q, 0));
		out->state = mem_strdup(query_text(&q, 1));
		out->scopes = mem_strdup(query_text(&q, 2));
		out->expired_ms = query_int(&q, 3);
		c->user_id = query_int(&q, 4);
	}
	r = query_end(&q);
	return r < 0 ? r : found;
}

/* "jobs" needs "job"; an empty list of scopes is all of them. */
static bool has_scope(const struct rest_call *c, const char *scopes)
{
	json_t *list cleanup(json_decref_at) = json_loads(scopes, 0, NULL);
	char object[64];
	json_t *scope;
	size_t i;

	access_object(c->route->path, object, sizeof(object));
	if (*object)
		object[strlen(object) - 1] = 0;
	json_array_foreach(list, i, scope)
	{
		if (json_is_string(scope) && strcmp(json_string_value(scope), object) == 0)
			return true;
	}
	return json_is_array(list) && json_array_size(list) == 0;
}

static bool check_robot(struct rest_call *c)
{
	char *bearer cleanup(free_at) = bearer_token(c);
	char *query cleanup(free_at) = rest_query(c, "access_token");
	struct robot robot cleanup(robot_release) = {0};
	struct err e = {0};
	int r;

	c->by_token = true;
	if (!query && !bearer)
		return refuse(c, 401, "a personal access token is needed");
	r = look_up_robot(c, query ? query : bearer, &robot, &e);
	if (r < 0)
		return refuse_error(c, &e);
	if (r == 0)
		return refuse(c, 401, "no such personal access token");
	if (strcmp(robot.state, "active") != 0)
		return refuse(c, 403, "the personal access token is inactive");
	if (robot.expired_ms <= clock_wall_ms())
		return refuse(c, 403, "the personal access token has expired");
	if (!has_scope(c, robot.scopes))
		return refuse(c, 403, "the personal access token has no scope for this");
	return true;
}

/* ---- all */

void access_object(const char *path, char *out, size_t size)
{
	const char *at = strstr(path, "/v1/");

	if (!at)
		at = strstr(path, "/v2/");
	if (strncmp(path, "/preheats", 9) == 0)
		at = "/v1/jobs";
	at = at ? at + 4 : path + 1;
	snprintf(out, size, "%.*s", (int)strcspn(at, "/"), at);
}

bool access_check(struct rest_call *c)
{
	struct err e = {0};

	if (!is_reading(c) && access_foreign(c))
		return refuse(c, 403, "the request comes from another site's page");
	switch (c->route->access) {
	case ACCESS_PUBLIC:
		return true;
	case ACCESS_USER:
		return check_user(c, &e) == 0 || refuse_error(c, &e);
	case ACCESS_TOKEN:
		return check_robot(c);
	}
	return false;
}
