/* Rows of audits. A path is kept without its query: that may hold a token. */
#include "control/manager/audit.h"

#include "base/clock.h"
#include "base/log.h"
#include "control/manager/limiter.h"

#define PATH_MAX_KEPT 256
/* Rows for requests of one address that nobody has signed in for, in a window. */
#define UNKNOWN_MAX 60
#define UNKNOWN_MS  60000

static const char *actor_type(const struct rest_call *c)
{
	if (!c->actor)
		return "UNKNOWN";
	return c->by_token ? "PAT" : "USER";
}

/* Who is nobody here, or guesses passwords by the thousand, does not fill the disk. */
static bool is_kept(const struct rest_call *c)
{
	char key[80];

	if (c->answer->status == 429)
		return false;
	snprintf(key, sizeof(key), "audit %s", c->rq->peer);
	return c->actor || limiter_take(c->rest->limiter, key, UNKNOWN_MAX, UNKNOWN_MS);
}

void audit_record(struct rest_call *c)
{
	int64_t now = clock_wall_ms();
	struct err e = {0};
	char path[PATH_MAX_KEPT + 1];

	if (!is_kept(c))
		return;
	snprintf(path, sizeof(path), "%s", c->rq->path);
	if (db_run(c->rest->db, NULL, &e,
		   "INSERT INTO audits (actor_type, actor_name, event_type, operation, operated_ms,"
		   " state, path, status_code, detail, created_ms, updated_ms)"
		   " VALUES (?, ?, 'API', ?, ?, ?, ?, ?, ?, ?, ?)",
		   "sssissisii", actor_type(c), c->actor ? c->actor : c->rq->peer, c->route->method,
		   now, c->answer->status < 400 ? "SUCCESS" : "FAILURE", path,
		   (int64_t)c->answer->status, "", now, now) < 0)
		log_error(err_fault(&e), "audit row is lost", "path=%s why=\"%s\"", path, e.text);
}
