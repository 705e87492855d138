/* Puts the REST API together. */
#include "control/manager/rest_server.h"

#include "base/door_tls.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"
#include "control/manager/gc.h"
#include "control/manager/jobs.h"
#include "control/manager/jwt.h"
#include "control/manager/limiter.h"
#include "control/manager/live.h"
#include "control/manager/redis.h"
#include "control/manager/rest.h"
#include "control/manager/rest_roles.h"
#include "control/manager/users.h"
#include "control/manager/vault.h"

#include <errno.h>
#include <string.h>

#define WORKERS	    8
#define OBJECTS_MAX 64

struct rest_server {
	struct rest rest;
	struct redis *redis;
	struct door_tls *tls;
	struct web *web;
};

static int prepare_people(struct db *db, struct err *e)
{
	char objects[OBJECTS_MAX][64];
	const char *names[OBJECTS_MAX];
	const char *password = getenv("DRAGONFLY_INITIAL_ROOT_PASSWORD");
	size_t count = rest_roles_objects(objects, OBJECTS_MAX);

	for (size_t i = 0; i < count; i++)
		names[i] = objects[i];
	return users_prepare(db, names, count, password && *password ? password : NULL, e);
}

static int open_secrets(struct rest *r, struct err *e)
{
	const struct manager_config *c = r->config;
	const struct jwt_config jwt = {.key = c->jwt_key,
				       .life_ms = c->jwt_life_ms,
				       .refresh_ms = c->jwt_refresh_ms,
				       .rotate_ms = c->jwt_rotate_ms};
	char *file cleanup(free_at) = manager_config_key_file(c);

	if (vault_open(file, &r->vault, e) < 0)
		return -e->code;
	return jwt_open(&jwt, r->db, r->vault, &r->jwt, e);
}

static int open_web(struct rest_server *s, struct err *e)
{
	struct web_config web = {.workers = WORKERS, .answer = rest_answer, .arg = &s->rest};
	const char *addr = s->rest.config->rest_addr;
	char host[256] = "", full[300];

	/* ":8080" is any address. */
	snprintf(full, sizeof(full), "%s%s", addr[0] == ':' ? "any" : "", addr);
	if (!net_split(full, host, sizeof(host), 8080, &web.port))
		return err_set(e, EINVAL, "server.rest.addr: %s is not ip:port", addr);
	web.ip = strcmp(host, "any") == 0 ? NULL : host;
	if (s->rest.config->rest_tls_cert &&
	    door_tls_new(s->rest.config->rest_tls_cert, s->rest.config->rest_tls_key, &s->tls, e) <
		    0)
		return err_wrap(e, "server.rest.tls");
	web.tls = s->tls;
	return web_new(&web, &s->web, e);
}

static void share_limits(struct rest_server *s)
{
	const struct manager_config *c = s->rest.config;
	const struct redis_config redis = {
		.addrs = (const char *const *)c->redis_addrs.items,
		.addr_count = (unsigned)c->redis_addrs.count,
		.user = c->redis_user,
		.password = c->redis_password,
		.db = (int64_t)c->redis_db,
	};

	if (!redis.addr_count)
		return;
	s->redis = redis_new(&redis);
	limiter_share(s->rest.limiter, s->redis);
}

int rest_server_new(const struct manager_config *config, struct db *db, struct rest_server **out,
		    struct err *e)
{
	struct rest_server *s = mem_new(struct rest_server);
	int r;

	s->rest = (struct rest){.db = db, .config = config, .limiter = limiter_new()};
	share_limits(s);
	r = open_secrets(&s->rest, e);
	if (r == 0)
		r = prepare_people(db, e);
	if (r == 0)
		r = gc_prepare(db, e);
	if (r == 0)
		r = jobs_new(db, s->rest.vault, &s->rest.jobs, e);
	if (r == 0) {
		s->rest.live = live_new(db);
		r = open_web(s, e);
	}
	if (r < 0) {
		rest_server_free(s);
		return r;
	}
	log_info("manager serves REST", "addr=%s port=%u tls=%d console=%s", config->rest_addr,
		 rest_server_port(s), s->tls != NULL,
		 config->console_dir ? config->console_dir : "none");
	*out = s;
	return 0;
}

uint16_t rest_server_port(const struct rest_server *s)
{
	return web_port(s->web);
}

void rest_server_free(struct rest_server *s)
{
	if (!s)
		return;
	if (s->rest.live)
		live_stop(s->rest.live);
	web_free(s->web);
	door_tls_free(s->tls);
	live_free(s->rest.live);
	jobs_free(s->rest.jobs);
	jwt_free(s->rest.jwt);
	vault_free(s->rest.vault);
	limiter_free(s->rest.limiter);
	redis_free(s->redis);
	free(s);
}
