/* Redis by hiredis. Must not know: what is counted. */
#include "control/manager/redis.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"

#include <errno.h>
#include <hiredis.h>
#include <string.h>

#define RANK_REDIS    47
#define ANSWER_S      2
#define AWAY_REST_MS  5000
#define PREFIX	      "skimmer:count:"
#define PORT_FALLBACK 6379

struct redis {
	struct redis_config config;
	struct lock lock;
	redisContext *conn;  /* lock; NULL: lost */
	int64_t next_try_ms; /* lock; with conn NULL */
	bool away;	     /* lock; said in the log */
};

/* One step, so that no count stays without an end. */
static const char count_script[] = "local n = redis.call('INCR', KEYS[1])\n"
				   "if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end\n"
				   "return n";

struct redis *redis_new(const struct redis_config *config)
{
	struct redis *r = mem_new(struct redis);

	r->config = *config;
	lock_init(&r->lock, RANK_REDIS);
	return r;
}

static void lose(struct redis *r)
{
	if (r->conn)
		redisFree(r->conn);
	r->conn = NULL;
}

void redis_free(struct redis *r)
{
	if (!r)
		return;
	lose(r);
	lock_release(&r->lock);
	free(r);
}

/* The integer of a reply, or 0 for another good one. Takes the reply. */
static int take_reply(redisContext *conn, redisReply *reply, int64_t *out, struct err *e)
{
	int r = 0;

	if (!reply)
		return err_set(e, ENOTCONN, "redis: %s", conn->errstr);
	if (reply->type == REDIS_REPLY_ERROR)
		r = err_set(e, EIO, "redis: %s", reply->str);
	else if (out)
		*out = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
	freeReplyObject(reply);
	return r;
}

static int sign_in(redisContext *conn, const struct redis_config *c, struct err *e)
{
	int r = 0;

	if (c->password && c->user)
		r = take_reply(conn, redisCommand(conn, "AUTH %s %s", c->user, c->password), NULL,
			       e);
	else if (c->password)
		r = take_reply(conn, redisCommand(conn, "AUTH %s", c->password), NULL, e);
	if (r == 0 && c->db)
		r = take_reply(conn, redisCommand(conn, "SELECT %lld", (long long)c->db), NULL, e);
	return r;
}

static void redis_free_at(redisContext **conn)
{
	if (*conn)
		redisFree(*conn);
}

static int connect_to(struct redis *r, const char *addr, struct err *e)
{
	const struct timeval wait = {.tv_sec = ANSWER_S};
	redisContext *conn cleanup(redis_free_at) = NULL;
	char host[256];
	uint16_t port;

	if (!net_split(addr, host, sizeof(host), PORT_FALLBACK, &port))
		return err_set(e, EINVAL, "redis: %s is not host:port", addr);
	conn = redisConnectWithTimeout(host, port, wait);
	if (!conn)
		abort();
	if (conn->err)
		return err_set(e, ENOTCONN, "redis %s: %s", addr, conn->errstr);
	redisSetTimeout(conn, wait);
	if (sign_in(conn, &r->config, e) < 0)
		return err_wrap(e, "%s", addr);
	r->conn = take_ptr(&conn);
	return 0;
}

static int ensure(struct redis *r, struct err *e)
{
	int64_t now = clock_ms();
	int result = -ENOTCONN;

	if (r->conn)
		return 0;
	if (now < r->next_try_ms)
		return err_set(e, ENOTCONN, "redis is away");
	for (unsigned i = 0; i < r->config.addr_count && result < 0; i++)
		result = connect_to(r, r->config.addrs[i], e);
	r->next_try_ms = clock_ms() + AWAY_REST_MS;
	return result;
}

/* Once for each time that it goes and comes. */
static void tell(struct redis *r, int result, const struct err *e)
{
	if (result < 0 && !r->away)
		log_warn("redis does not count: this manager counts for itself", "why=\"%s\"",
			 e->text);
	else if (result == 0 && r->away)
		log_info("redis counts again", NULL);
	r->away = result < 0;
}

/* A connection that redis has closed while nobody asked is made again. */
static int ask(struct redis *r, int argc, const char **argv, int64_t *out, struct err *e)
{
	struct err why = {0};
	int result = -ENOTCONN;

	lock_guard(&r->lock);
	for (bool old = true; result == -ENOTCONN && old;) {
		old = r->conn;
		result = ensure(r, &why);
		if (result == 0)
			result = take_reply(r->conn, redisCommandArgv(r->conn, argc, argv, NULL),
					    out, &why);
		if (result == -ENOTCONN)
			lose(r);
	}
	tell(r, result, &why);
	return result < 0 ? err_copy(e, &why) : 0;
}

int redis_count(struct redis *r, const char *key, int64_t window_ms, int64_t *out, struct err *e)
{
	char *name cleanup(free_at) = mem_printf(PREFIX "%s", key);
	char *window cleanup(free_at) = mem_printf("%lld", (long long)window_ms);
	const char *argv[] = {"EVAL", count_script, "1", name, window};

	return ask(r, array_len(argv), argv, out, e);
}

int redis_forget(struct redis *r, const char *key, struct err *e)
{
	char *name cleanup(free_at) = mem_printf(PREFIX "%s", key);
	const char *argv[] = {"DEL", name};

	return ask(r, array_len(argv), argv, NULL, e);
}
