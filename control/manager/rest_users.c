/* Signing in and out, profiles, roles of users. */
#include "control/manager/rest_users.h"

#include "base/log.h"
#include "base/mem.h"
#include "control/manager/access.h"
#include "control/manager/cluster_fields.h"
#include "control/manager/limiter.h"
#include "control/manager/password.h"
#include "control/manager/resource.h"
#include "control/manager/users.h"

#include <errno.h>
#include <string.h>

/* Attempts before somebody has to wait: of one name from one address, from one address, of one
 * name from everywhere. Only wrong ones count. */
#define WINDOW_MS     60000
#define TRIES_MAX     5
#define TRIES_IP_MAX  30
#define TRIES_ALL_MAX 100

#define NAME_BOUNDS	.min = 3, .max = 64, .check = field_check_line
#define PASSWORD_BOUNDS .min = PASSWORD_LEN_MIN, .max = PASSWORD_LEN_MAX

static const struct field signin_fields[] = {
	{.name = "name", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .min = 1, .max = 256},
	{.name = "password",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED | FIELD_WRITE_ONLY,
	 .min = 1,
	 .max = PASSWORD_LEN_MAX},
	{0},
};

static const struct field token_fields[] = {
	{.name = "token", .type = FIELD_TEXT, .flags = FIELD_REQUIRED},
	{.name = "expire", .type = FIELD_TIME, .flags = FIELD_REQUIRED},
	{.name = "must_change_password", .type = FIELD_BOOL},
	{0},
};

static const struct field reset_fields[] = {
	{.name = "old_password",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED | FIELD_WRITE_ONLY,
	 .min = 1,
	 .max = PASSWORD_LEN_MAX},
	{.name = "new_password",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED | FIELD_WRITE_ONLY,
	 PASSWORD_BOUNDS},
	{0},
};

#define PROFILE                                                                                    \
	{.name = "phone", .type = FIELD_TEXT, .max = 64, .check = field_check_line},               \
		{.name = "avatar", .type = FIELD_TEXT, .max = 1024, .check = field_check_url},     \
		{.name = "location",                                                               \
		 .type = FIELD_TEXT,                                                               \
		 .flags = FIELD_FILTER,                                                            \
		 .max = 256,                                                                       \
		 .check = field_check_line},                                                       \
	{                                                                                          \
		.name = "bio", .type = FIELD_TEXT, .max = 1024                                     \
	}

static const struct field signup_fields[] = {
	{.name = "name", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, NAME_BOUNDS},
	{.name = "password",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED | FIELD_WRITE_ONLY,
	 PASSWORD_BOUNDS},
	{.name = "email",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED,
	 .min = 3,
	 .max = 256,
	 .check = field_check_line},
	PROFILE,
	{0},
};

static const struct field user_fields[] = {
	{.name = "name", .type = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_FILTER},
	{.name = "email",
	 .type = FIELD_TEXT,
	 .flags = FIELD_FILTER | FIELD_NULLABLE,
	 .max = 256,
	 .check = field_check_line},
	PROFILE,
	{.name = "state",
	 .type = FIELD_TEXT,
	 .flags = FIELD_FILTER,
	 .words = "enable|disable",
	 .help = "Who is disabled cannot sign in, and tokens end at once."},
	{.name = "must_change_password", .type = FIELD_BOOL, .flags = FIELD_READ_ONLY},
	{0},
};

/* Nobody locks out the last root, and only who may change all users sets a state. */
static int write_user(struct rest_call *c, json_t *taken, bool creating, struct err *e)
{
	const char *state = json_str(taken, "state");
	int64_t id, left = 0;
	int r;

	(void)creating;
	if (!state || strcmp(state, "disable") != 0)
		return 0;
	r = rest_id(c, 0, &id, e);
	if (r == 0)
		r = db_number(c->rest->db, &left, e,
			      "SELECT COUNT(*) FROM user_roles r JOIN users u ON u.id = r.user_id"
			      " WHERE r.role = '" USERS_ROOT "' AND u.state = 'enable'"
			      " AND u.id <> ?",
			      "i", id);
	if (r == 0 && !left)
		return err_set(e, EBUSY, "this is the last user with the role " USERS_ROOT);
	return r;
}

static const struct resource users = {
	.singular = "user",
	.table = "users",
	.fields = user_fields,
	.write = write_user,
};

/* ---- signing in */

static bool is_https(const struct rest_call *c)
{
	return strcmp(rest_scheme(c), "https") == 0;
}

static void set_cookie(struct rest_call *c, const char *token, int64_t life_s)
{
	/* Not HttpOnly: Dragonfly's console reads the user's id out of it. */
	web_header(c->answer, "Set-Cookie", "jwt=%s; Path=/; Max-Age=%lld; SameSite=Lax%s", token,
		   (long long)life_s, is_https(c) ? "; Secure" : "");
}

int rest_users_sign_in(struct rest_call *c, int64_t id, int64_t generation, int64_t orig_iat_s,
		       char **token_out, char expire_out[32], struct err *e)
{
	struct jwt_claims claims = {
		.user_id = id, .generation = generation, .orig_iat_s = orig_iat_s};
	int r = jwt_issue(c->rest->jwt, &claims, token_out, e);

	if (r < 0)
		return r;
	set_cookie(c, *token_out, c->rest->config->jwt_life_ms / 1000);
	field_print_time(claims.exp_s * 1000, expire_out);
	return 0;
}

static int answer_token(struct rest_call *c, const struct user *u, int64_t orig_iat_s,
			struct err *e)
{
	char *token cleanup(free_at) = NULL;
	char expire[32];
	int r = rest_users_sign_in(c, u->id, u->generation, orig_iat_s, &token, expire, e);

	if (r < 0)
		return r;
	rest_json(c, json_pack("{s:s, s:s, s:b}", "token", token, "expire", expire,
			       "must_change_password", u->must_change));
	return 0;
}

struct tries {
	char pair[400], ip[80], name[300];
};

static bool may_try(struct rest_call *c, const char *name, struct tries *t)
{
	struct limiter *l = c->rest->limiter;

	snprintf(t->pair, sizeof(t->pair), "pair %s %s", c->rq->peer, name);
	snprintf(t->ip, sizeof(t->ip), "ip %s", c->rq->peer);
	snprintf(t->name, sizeof(t->name), "name %s", name);
	return limiter_take(l, t->pair, TRIES_MAX, WINDOW_MS) &&
	       limiter_take(l, t->ip, TRIES_IP_MAX, WINDOW_MS) &&
	       limiter_take(l, t->name, TRIES_ALL_MAX, WINDOW_MS);
}

static void forget_tries(struct rest_call *c, const struct tries *t)
{
	limiter_forget(c->rest->limiter, t->pair);
	limiter_forget(c->rest->limiter, t->ip);
	limiter_forget(c->rest->limiter, t->name);
}

static int refuse_tries(struct rest_call *c)
{
	web_header(c->answer, "Retry-After", "%d", WINDOW_MS / 1000);
	return rest_refuse(c, 429, "too many attempts: wait a minute");
}

static int take_fields(struct rest_call *c, const struct field *fields, json_t **out, struct err *e)
{
	json_t *body cleanup(json_decref_at) = NULL;
	int r = rest_body(c, &body, e);

	return r < 0 ? r : fields_take(fields, body, true, out, e);
}

static bool knows_password(const struct user *u, const char *password)
{
	return password_fits(password, u->password) && u->enabled;
}

static int sign_in(struct rest_call *c, struct err *e)
{
	struct user u cleanup(user_release) = {0};
	json_t *taken cleanup(json_decref_at) = NULL;
	struct tries tries;
	int r = take_fields(c, signin_fields, &taken, e);

	if (r < 0)
		return r;
	if (!may_try(c, json_str(taken, "name"), &tries))
		return refuse_tries(c);
	r = users_get(c->rest->db, 0, json_str(taken, "name"), &u, e);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!knows_password(&u, json_str(taken, "password")))
		return rest_refuse(c, 401, "incorrect username or password");
	forget_tries(c, &tries);
	c->actor = mem_strdup(u.name);
	return answer_token(c, &u, 0, e);
}

static int sign_up(struct rest_call *c, struct err *e)
{
	json_t *taken cleanup(json_decref_at) = NULL, *row = NULL;
	struct tries tries;
	bool by_admin = access_permits(c);
	int64_t id = 0;
	int r;

	if (!by_admin && !c->rest->config->sign_up)
		return rest_refuse(c, 403, "signing up is switched off: ask an administrator");
	r = take_fields(c, signup_fields, &taken, e);
	if (r < 0)
		return r;
	if (!by_admin && !may_try(c, "sign up", &tries))
		return refuse_tries(c);
	r = users_add(c->rest->db, json_str(taken, "name"), json_str(taken, "email"),
		      json_str(taken, "password"), &id, e);
	json_object_del(taken, "name");
	if (r == 0)
		r = resource_change(c->rest->db, &users, id, taken, e);
	if (r == 0)
		r = resource_row(c, &users, id, &row, e);
	if (r == 0)
		rest_json(c, row);
	return r;
}

static int sign_out(struct rest_call *c, struct err *e)
{
	(void)e;
	set_cookie(c, "", 0);
	return 0;
}

static int refresh(struct rest_call *c, struct err *e)
{
	struct user u cleanup(user_release) = {0};
	struct jwt_claims claims;
	int r;

	if (!access_token(c, true, &claims))
		return rest_refuse(c, 401, "there is no token that may be refreshed");
	r = users_get(c->rest->db, claims.user_id, "", &u, e);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r < 0 || !u.enabled || u.generation != claims.generation)
		return rest_refuse(c, 401, "there is no token that may be refreshed");
	c->actor = mem_strdup(u.name);
	return answer_token(c, &u, claims.orig_iat_s, e);
}

static int reset_password(struct rest_call *c, struct err *e)
{
	struct user u cleanup(user_release) = {0};
	json_t *taken cleanup(json_decref_at) = NULL;
	struct tries tries;
	int64_t id;
	int r = rest_id(c, 0, &id, e);

	if (r == 0)
		r = take_fields(c, reset_fields, &taken, e);
	if (r < 0)
		return r;
	if (!may_try(c, c->params[0], &tries))
		return refuse_tries(c);
	r = users_get(c->rest->db, id, "", &u, e);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!knows_password(&u, json_str(taken, "old_password")))
		return rest_refuse(c, 401, "the old password is wrong");
	if (strcmp(json_str(taken, "old_password"), json_str(taken, "new_password")) == 0)
		return err_set(e, EINVAL, "new_password: must not be the old one");
	forget_tries(c, &tries);
	c->actor = mem_strdup(u.name);
	return users_set_password(c->rest->db, id, json_str(taken, "new_password"), e);
}

/* ---- roles of users */

static int user_roles(struct rest_call *c, struct err *e)
{
	struct query q;
	int64_t id, there = 0;
	int r = rest_id(c, 0, &id, e);

	if (r == 0)
		r = db_number(c->rest->db, &there, e, "SELECT COUNT(*) FROM users WHERE id = ?",
			      "i", id);
	if (r == 0 && !there)
		return err_set(e, ENOENT, "no such user");
	if (r < 0)
		return r;
	query_start(c->rest->db, &q, e,
		    "SELECT role FROM user_roles WHERE user_id = ? ORDER BY role", "i", id);
	return rest_texts(c, &q);
}

static int give_role(struct rest_call *c, struct err *e)
{
	int64_t id;
	int r = rest_id(c, 0, &id, e);

	return r < 0 ? r : users_grant(c->rest->db, id, c->params[1], e);
}

static int take_role(struct rest_call *c, struct err *e)
{
	int64_t id;
	int r = rest_id(c, 0, &id, e);

	return r < 0 ? r : users_revoke(c->rest->db, id, c->params[1], e);
}

#define U "/api/v1/users"

const struct route rest_users_routes[] = {
	{"POST", U "/signin", ACCESS_PUBLIC, sign_in, "Sign in", NULL, signin_fields, token_fields,
	 0},
	{"POST", U "/signup", ACCESS_PUBLIC, sign_up, "Make an account with the role guest", NULL,
	 signup_fields, user_fields, ROUTE_ROW},
	{"POST", U "/signout", ACCESS_PUBLIC, sign_out, "Forget the cookie", NULL, NULL, NULL,
	 ROUTE_EMPTY | ROUTE_UNAUDITED},
	{"POST", U "/refresh_token", ACCESS_PUBLIC, refresh, "A new token for a good one", NULL,
	 NULL, token_fields, 0},
	{"POST", U "/:id/reset_password", ACCESS_PUBLIC, reset_password,
	 "A new password; the old one is the proof", NULL, reset_fields, NULL, ROUTE_EMPTY},
	{"GET", U, ACCESS_USER, resource_list, "List users", &users, NULL, user_fields, ROUTE_LIST},
	{"GET", U "/:id", ACCESS_USER, resource_get, "One user", &users, NULL, user_fields,
	 ROUTE_SELF},
	{"PATCH", U "/:id", ACCESS_USER, resource_update, "Change a profile", &users, user_fields,
	 user_fields, ROUTE_SELF},
	{"GET", U "/:id/roles", ACCESS_USER, user_roles, "Roles of a user", NULL, NULL, NULL,
	 ROUTE_SELF | ROUTE_TEXTS},
	{"PUT", U "/:id/roles/:role", ACCESS_USER, give_role, "Give a user a role", NULL, NULL,
	 NULL, ROUTE_EMPTY},
	{"DELETE", U "/:id/roles/:role", ACCESS_USER, take_role, "Take a role from a user", NULL,
	 NULL, NULL, ROUTE_EMPTY},
	{0},
};
