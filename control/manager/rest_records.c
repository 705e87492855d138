/* Configs, applications, personal access tokens, OAuth clients, the audit trail. */
#include "control/manager/access.h"
#include "control/manager/cluster_fields.h"
#include "control/manager/expression.h"
#include "control/manager/resource.h"
#include "control/manager/rest_tables.h"
#include "control/manager/vault.h"

#include "base/mem.h"

#include <errno.h>

#define USER_ID                                                                                    \
	{                                                                                          \
		.name = "user_id", .type = FIELD_INT, .flags = FIELD_NULLABLE | FIELD_FILTER,      \
		.min = 0, .max = INT64_MAX                                                         \
	}

/* A row is its maker's unless the body says otherwise. */
static int write_owned(struct rest_call *c, json_t *taken, bool creating, struct err *e)
{
	(void)e;
	if (creating && !json_object_get(taken, "user_id"))
		json_object_set_new(taken, "user_id", json_integer(c->user_id));
	return 0;
}

/* ---- configs */

static const struct field config_fields[] = {
	FIELD_NAME,
	{.name = "value",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED,
	 .min = 1,
	 .max = 1024,
	 .check = field_check_json,
	 .help = "JSON text. Known: gc {\"audit\":{\"ttl\":ns},\"job\":{\"ttl\":ns}}."},
	FIELD_BIO,
	USER_ID,
	{0},
};
static const struct resource configs = {
	.singular = "config", .table = "configs", .fields = config_fields, .write = write_owned};

/* ---- applications */

static const struct field url_priority_fields[] = {
	{.name = "regex",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED,
	 .min = 1,
	 .max = 512,
	 .check = expression_check},
	{.name = "value", .type = FIELD_INT, .flags = FIELD_REQUIRED, .min = 0, .max = 20},
	{0},
};
static const struct field url_priority = {.type = FIELD_OBJECT, .members = url_priority_fields};
static const struct field priority_fields[] = {
	{.name = "value", .type = FIELD_INT, .flags = FIELD_REQUIRED, .min = 0, .max = 20},
	{.name = "urls", .type = FIELD_LIST, .members = &url_priority, .max = 100},
	{0},
};
static const struct field application_fields[] = {
	FIELD_NAME,
	{.name = "url", .type = FIELD_TEXT, .max = 1024, .fallback = "\"\""},
	FIELD_BIO,
	{.name = "priority",
	 .type = FIELD_OBJECT,
	 .flags = FIELD_REQUIRED,
	 .members = priority_fields},
	USER_ID,
	{0},
};
static const struct resource applications = {.singular = "application",
					     .table = "applications",
					     .fields = application_fields,
					     .write = write_owned};

/* ---- personal access tokens */

#define TOKEN_PREFIX "dfp_"

static const struct field scope[] = {{.type = FIELD_TEXT, .words = "job|cluster"}};
static const struct field token_fields[] = {
	FIELD_NAME,
	FIELD_BIO,
	{.name = "scopes",
	 .type = FIELD_LIST,
	 .max = 8,
	 .members = scope,
	 .fallback = "[\"job\",\"cluster\"]",
	 .help = "What /oapi/v1 lets the token do; an empty list is everything."},
	{.name = "state",
	 .type = FIELD_TEXT,
	 .flags = FIELD_FILTER,
	 .words = "active|inactive",
	 .fallback = "\"active\""},
	{.name = "expired_at", .type = FIELD_TIME, .column = "expired_ms", .flags = FIELD_REQUIRED},
	USER_ID,
	{.name = "token_hash", .type = FIELD_TEXT, .flags = FIELD_READ_ONLY | FIELD_WRITE_ONLY},
	{.name = "token",
	 .type = FIELD_TEXT,
	 .flags = FIELD_READ_ONLY | FIELD_NO_COLUMN,
	 .help = "Only in the answer to the request that made it: it cannot be shown again."},
	{0},
};

static int write_token(struct rest_call *c, json_t *taken, bool creating, struct err *e)
{
	char *secret cleanup(free_at) = NULL, *token cleanup(free_at) = NULL;
	char hash[65];

	if (!creating)
		return 0;
	secret = vault_random(32);
	token = mem_printf(TOKEN_PREFIX "%s", secret);
	access_hash(token, hash);
	json_object_set_new(taken, "token", json_string(token));
	json_object_set_new(taken, "token_hash", json_string(hash));
	return write_owned(c, taken, creating, e);
}

static int show_token(struct rest_call *c, const json_t *taken, json_t *row, struct err *e)
{
	(void)c;
	(void)e;
	json_object_set(row, "token", json_object_get(taken, "token"));
	return 0;
}

static const struct resource tokens = {.singular = "personal access token",
				       .table = "personal_access_tokens",
				       .fields = token_fields,
				       .write = write_token,
				       .made = show_token};

/* ---- OAuth clients */

static const struct field oauth_fields[] = {
	{.name = "name",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED | FIELD_FILTER,
	 .words = "github|google"},
	FIELD_BIO,
	{.name = "client_id",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED,
	 .min = 1,
	 .max = 256,
	 .check = field_check_line},
	{.name = "client_secret",
	 .column = "client_secret_sealed",
	 .type = FIELD_TEXT,
	 .flags = FIELD_REQUIRED | FIELD_WRITE_ONLY,
	 .min = 1,
	 .max = 1024},
	{.name = "redirect_url", .type = FIELD_TEXT, .max = 1024, .check = field_check_url},
	{0},
};

static int seal_client(struct rest_call *c, json_t *taken, bool creating, struct err *e)
{
	const char *secret = json_str(taken, "client_secret");
	char *sealed cleanup(free_at) = NULL;

	(void)creating;
	(void)e;
	if (!secret)
		return 0;
	sealed = vault_seal(c->rest->vault, "oauths.client_secret", secret);
	json_object_set_new(taken, "client_secret", json_string(sealed));
	return 0;
}

static const struct resource oauths = {.singular = "OAuth client",
				       .table = "oauths",
				       .fields = oauth_fields,
				       .write = seal_client};

/* ---- audits */

#define AUDIT(name_)                                                                               \
	{                                                                                          \
		.name = name_, .type = FIELD_TEXT,                                                 \
		.flags = FIELD_READ_ONLY | FIELD_FILTER | FIELD_BEGINS                             \
	}

static const struct field audit_fields[] = {
	AUDIT("actor_type"),
	AUDIT("actor_name"),
	AUDIT("event_type"),
	AUDIT("operation"),
	AUDIT("state"),
	AUDIT("path"),
	{.name = "status_code", .type = FIELD_INT, .flags = FIELD_READ_ONLY | FIELD_FILTER},
	{.name = "operated_at",
	 .type = FIELD_TIME,
	 .column = "operated_ms",
	 .flags = FIELD_READ_ONLY},
	{.name = "detail", .type = FIELD_TEXT, .flags = FIELD_READ_ONLY},
	{0},
};
static const struct resource audits = {
	.singular = "audit", .table = "audits", .order = "id DESC", .fields = audit_fields};

#define P "/api/v1/"

const struct route rest_records_routes[] = {
	RESOURCE_CRUD(P "configs", &configs, config_fields, "config"),
	RESOURCE_CRUD(P "applications", &applications, application_fields, "application"),
	RESOURCE_CRUD(P "personal-access-tokens", &tokens, token_fields, "personal access token"),
	/* The page on which people sign in asks with whom they can. */
	{"GET", P "oauth", ACCESS_PUBLIC, resource_list, "List OAuth clients", &oauths, NULL,
	 oauth_fields, ROUTE_LIST},
	{"GET", P "oauth/:id", ACCESS_USER, resource_get, "One OAuth client", &oauths, NULL,
	 oauth_fields, 0},
	RESOURCE_MAKE(P "oauth", &oauths, oauth_fields, "OAuth client"),
	RESOURCE_CHANGE(P "oauth", &oauths, oauth_fields, "OAuth client"),
	{"GET", P "audits", ACCESS_USER, resource_list, "The audit trail, newest first", &audits,
	 NULL, audit_fields, ROUTE_LIST},
	{0},
};
