/*
 * One request of the manager's door at a time, from the loop's thread to a worker and back.
 *
 *	state		who moves it on
 *	reading		the body comes in: body() to working, body_late() to sending
 *	working		a worker answers: work() posts done(), to sending or following
 *	sending		the answer is the door's: gone() frees
 *	following	events go out as they come: follow_over() to sending, gone() frees
 *
 * A client that leaves while a worker answers is noticed in done(): nothing is sent.
 */
#include "control/manager/web.h"

#include "base/clock.h"
#include "base/door.h"
#include "base/mem.h"
#include "base/pool.h"
#include "control/manager/figures.h"
#include "control/manager/web_feed.h"

#include <stdarg.h>
#include <string.h>

#define CONNECTIONS_MAX 4096
#define QUEUE_MAX	256
#define BODY_TIMEOUT_MS 30000
#define STALL_MS	30000
/* Then a follower has to ask again, and whether it may is looked at anew. */
#define FOLLOW_MS 60000

struct web {
	struct web_config config;
	struct door *door;
	struct pool *pool;
};

struct exchange {
	struct door_call call;
	struct door_conn *conn;
	struct door *door;
	struct loop *loop;
	struct web *web;
	struct loop_timer late;
	struct loop_job done;
	bool working, gone;
	struct web_follower follower;
	struct web_request rq;
	struct web_answer answer;
};

void web_header(struct web_answer *a, const char *name, const char *fmt, ...)
{
	char *value cleanup(free_at) = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&value, fmt, ap) < 0)
		abort();
	va_end(ap);
	for (char *p = value; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
			*p = '?';
	buf_printf(&a->headers, "%s: %s\r\n", name, value);
}

static void exchange_free(struct exchange *x)
{
	free(x->rq.method);
	free(x->rq.path);
	free(x->rq.query);
	free(x->rq.host);
	free(x->rq.authorization);
	free(x->rq.cookie);
	free(x->rq.origin);
	free(x->rq.fetch_site);
	free(x->rq.forwarded_proto);
	free(x->rq.encodings);
	buf_release(&x->rq.body);
	buf_release(&x->answer.headers);
	buf_release(&x->answer.body);
	close_at(&x->answer.file_fd);
	free(x);
}

/* ---- on a worker */

static void work(void *arg)
{
	struct exchange *x = arg;

	int64_t since_us = clock_us();

	x->web->config.answer(x->web->config.arg, &x->rq, &x->answer);
	if (x->answer.body.overflow) {
		x->answer.status = 500;
		buf_release(&x->answer.body);
	}
	figures_request(x->rq.method, x->rq.path, x->answer.status, clock_us() - since_us);
	loop_post(x->loop, &x->done);
}

/* ---- on the loop */

static void answer_text(struct exchange *x, int status, const char *text)
{
	char *json cleanup(free_at) = mem_printf("{\"message\":\"%s\"}", text);

	door_respond(x->conn, status, "Content-Type: application/json\r\n", (int64_t)strlen(json));
	door_send(x->conn, json, strlen(json));
	door_end(x->conn);
}

static void send_answer(struct exchange *x)
{
	struct web_answer *a = &x->answer;
	bool is_file = a->file_fd >= 0;

	door_respond(x->conn, a->status, a->headers.data ? a->headers.data : "",
		     is_file ? (int64_t)a->file_len : (int64_t)a->body.len);
	if (is_file)
		door_send_file(x->conn, a->file_fd, 0, a->file_len);
	else
		door_send(x->conn, a->body.data, a->body.len);
	door_end(x->conn);
}

static void follow_over(struct loop_timer *t)
{
	struct exchange *x = t->arg;

	web_follower_leave(&x->follower);
	door_end(x->conn);
}

static void start_following(struct exchange *x)
{
	x->late.fire = follow_over;
	loop_timer_arm(x->loop, &x->late, FOLLOW_MS);
	web_follow(&x->follower, x->answer.feed, x->conn, x->answer.headers.data);
}

static void done(struct loop_job *job)
{
	struct exchange *x = job->arg;
	struct door *door = x->door;

	x->working = false;
	if (x->gone)
		exchange_free(x);
	else if (x->answer.feed && strcmp(x->rq.method, "HEAD") != 0)
		start_following(x);
	else
		send_answer(x);
	door_release(door);
}

static void start_work(struct exchange *x)
{
	loop_timer_cancel(x->loop, &x->late);
	x->working = true;
	door_hold(x->door);
	if (pool_run(x->web->pool, work, x))
		return;
	x->working = false;
	door_release(x->door);
	answer_text(x, 503, "the manager is busy: try again");
}

static void body(struct door_call *call, const char *data, size_t len)
{
	struct exchange *x = container_of(call, struct exchange, call);

	if (!len) {
		start_work(x);
		return;
	}
	buf_append(&x->rq.body, data, len);
	if (x->rq.body.overflow) {
		loop_timer_cancel(x->loop, &x->late);
		answer_text(x, 413, "the body is larger than 1 MiB");
		return;
	}
	door_want_body(x->conn);
}

static void body_late(struct loop_timer *t)
{
	struct exchange *x = t->arg;

	answer_text(x, 408, "the body came too slowly");
}

static void drained(struct door_call *call)
{
	web_follower_drained(&container_of(call, struct exchange, call)->follower);
}

static void gone(struct door_call *call, bool whole)
{
	struct exchange *x = container_of(call, struct exchange, call);

	(void)whole;
	loop_timer_cancel(x->loop, &x->late);
	web_follower_leave(&x->follower);
	x->gone = true;
	if (!x->working)
		exchange_free(x);
}

static char *header_copy(const struct http_head *h, const char *name)
{
	return mem_strdup(http_header_get(h, name));
}

/* "http://host/path" is what proxies get; we are none, but take the path of it. */
static void take_target(struct web_request *rq, const char *target)
{
	const char *host = strstr(target, "://"), *path = target, *query;

	if (target[0] != '/' && host)
		path = strchr(host + 3, '/') ? strchr(host + 3, '/') : "/";
	query = strchr(path, '?');
	rq->path = query ? mem_strndup(path, (size_t)(query - path)) : mem_strdup(path);
	rq->query = query ? mem_strdup(query + 1) : NULL;
}

static void take_head(struct exchange *x, const struct http_head *h)
{
	struct web_request *rq = &x->rq;

	rq->method = mem_strdup(h->method);
	take_target(rq, h->target);
	rq->host = header_copy(h, "Host");
	rq->authorization = header_copy(h, "Authorization");
	rq->cookie = header_copy(h, "Cookie");
	rq->origin = header_copy(h, "Origin");
	rq->fetch_site = header_copy(h, "Sec-Fetch-Site");
	rq->forwarded_proto = header_copy(h, "X-Forwarded-Proto");
	rq->encodings = header_copy(h, "Accept-Encoding");
	snprintf(rq->peer, sizeof(rq->peer), "%s", door_peer(x->conn));
}

static void request(struct door_conn *c, void *arg)
{
	struct web *w = arg;
	struct exchange *x = mem_new(struct exchange);
	const struct http_head *h = door_head(c);

	*x = (struct exchange){
		.call = {.drained = drained, .body = body, .gone = gone},
		.conn = c,
		.door = door_of(c),
		.loop = door_loop(c),
		.web = w,
		.late = {.fire = body_late, .arg = x},
		.done = {.run = done, .arg = x},
		.rq.body = BUF_INIT(WEB_BODY_MAX),
		.answer = {.status = 200,
			   .headers = BUF_INIT(WEB_BODY_MAX),
			   .body = BUF_INIT(WEB_ANSWER_MAX),
			   .file_fd = -1},
	};
	list_init(&x->late.link);
	list_init(&x->done.link);
	take_head(x, h);
	x->rq.tls = w->config.tls;
	door_take(c, &x->call);
	if (h->content_length > (int64_t)WEB_BODY_MAX) {
		answer_text(x, 413, "the body is larger than 1 MiB");
	} else if (door_has_body(c)) {
		loop_timer_arm(x->loop, &x->late, w->config.body_timeout_ms);
		door_want_body(c);
	} else {
		start_work(x);
	}
}

int web_new(const struct web_config *config, struct web **out, struct err *e)
{
	struct web *w = mem_new(struct web);
	struct door_config door = {
		.name = "rest",
		.ip = config->ip,
		.port = config->port,
		.tls = config->tls,
		.connections_max = CONNECTIONS_MAX,
		.stall_timeout_ms = STALL_MS,
		.request = request,
		.arg = w,
	};
	int r;

	w->config = *config;
	if (!w->config.body_timeout_ms)
		w->config.body_timeout_ms = BODY_TIMEOUT_MS;
	w->pool = pool_new("rest-work", config->workers, QUEUE_MAX);
	r = door_new(&door, &w->door, e);
	if (r < 0) {
		web_free(w);
		return r;
	}
	*out = w;
	return 0;
}

uint16_t web_port(const struct web *w)
{
	return door_port(w->door);
}

void web_free(struct web *w)
{
	if (!w)
		return;
	door_free(w->door);
	pool_free(w->pool);
	free(w);
}
