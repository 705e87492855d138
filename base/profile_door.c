/* One profile at a time; who asked for it waits on the loop's timer. */
#include "base/profile_door.h"

#include "base/heap.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/profile.h"
#include "base/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 16
#define SECONDS		30
#define TEXT_MAX	(16u << 20)
#define PPROF		"Content-Type: application/octet-stream\r\n"

/* A profile that is being taken. */
struct taking {
	struct door_call call;
	struct door_conn *conn;
	struct loop *loop;
	struct loop_timer over;
	bool stopped;
};

static void reply(struct door_conn *c, const char *headers, const struct buf *body)
{
	door_respond(c, 200, headers, (int64_t)body->len);
	door_send(c, body->data, body->len);
	door_end(c);
}

/* ---- processor time */

static void stop(struct taking *t, struct buf *out)
{
	loop_timer_cancel(t->loop, &t->over);
	if (!t->stopped)
		profile_cpu_stop(out);
	t->stopped = true;
}

static void over(struct loop_timer *timer)
{
	struct taking *t = timer->arg;
	cleanup(buf_release) struct buf profile = {0};

	stop(t, &profile);
	reply(t->conn, PPROF "Content-Disposition: attachment; filename=\"profile\"\r\n", &profile);
}

static void drained(struct door_call *call)
{
	(void)call;
}

static void gone(struct door_call *call, bool whole)
{
	struct taking *t = container_of(call, struct taking, call);
	cleanup(buf_release) struct buf profile = {0};

	(void)whole;
	stop(t, &profile);
	free(t);
}

static void take(struct door_conn *c, const char *query)
{
	cleanup(free_at) char *text = query ? url_query_get(query, "seconds") : NULL;
	long seconds = text ? strtol(text, NULL, 10) : SECONDS;
	struct taking *t;
	struct err e = {0};

	if (seconds < 1 || seconds > PROFILE_SECONDS_MAX) {
		door_reply(c, 400, "", "seconds: 1 to 300");
		return;
	}
	if (profile_cpu_start(&e) < 0) {
		door_reply(c, 503, "Retry-After: 30\r\n", e.text);
		return;
	}
	t = mem_new(struct taking);
	t->call = (struct door_call){.drained = drained, .gone = gone};
	t->conn = c;
	t->loop = door_loop(c);
	t->over = (struct loop_timer){.fire = over, .arg = t};
	list_init(&t->over.link);
	door_take(c, &t->call);
	loop_timer_arm(t->loop, &t->over, seconds * 1000);
}

/* ---- threads, and what waits */

/* The gauges: how much of everything there is now. */
static void print_gauges(struct buf *out)
{
	cleanup(buf_release) struct buf all = BUF_INIT(TEXT_MAX);
	bool gauge = false;

	metrics_print(&all);
	for (const char *at = all.data; at && *at;) {
		size_t n = strcspn(at, "\n") + 1;

		if (at[0] == '#')
			gauge = n > 7 && memcmp(at + n - 7, " gauge\n", 7) == 0;
		else if (gauge)
			buf_append(out, at, n);
		at += n;
	}
}

static void show_threads(struct door_conn *c)
{
	cleanup(buf_release) struct buf text = BUF_INIT(TEXT_MAX);

	buf_puts(&text, "# threads\n");
	profile_threads(&text);
	buf_puts(&text, "\n# bytes of malloc's\n");
	profile_memory(&text);
	buf_puts(&text, "\n# queues and other gauges\n");
	print_gauges(&text);
	reply(c, "Content-Type: text/plain; charset=utf-8\r\n", &text);
}

/* ---- the door */

static void request(struct door_conn *c, void *arg)
{
	const struct http_head *head = door_head(c);
	size_t n = strcspn(head->target, "?");
	cleanup(free_at) char *path = mem_strndup(head->target, n);
	cleanup(buf_release) struct buf profile = {0};

	(void)arg;
	if (strcmp(head->method, "GET") != 0) {
		door_reply(c, 405, "Allow: GET\r\n", "only GET");
	} else if (strcmp(path, "/debug/pprof/profile") == 0) {
		take(c, head->target[n] ? head->target + n + 1 : NULL);
	} else if (strcmp(path, "/debug/pprof/heap") == 0) {
		profile_heap(&profile);
		reply(c, PPROF, &profile);
	} else if (strcmp(path, "/debug/pprof/goroutine") == 0 ||
		   strcmp(path, "/debug/threads") == 0) {
		show_threads(c);
	} else {
		door_reply(c, 404, "", "there is /debug/pprof/profile, heap and goroutine");
	}
}

int profile_door_new(const char *ip, uint16_t port, struct door **out, struct err *e)
{
	const struct door_config config = {
		.name = "pprof",
		.ip = ip ? ip : "127.0.0.1",
		.port = port,
		.connections_max = CONNECTIONS_MAX,
		.request = request,
	};

	heap_sampling_start();
	return door_new(&config, out, e);
}

int profile_port_parse(const char *text, uint16_t *port_out, struct err *e)
{
	char *end = NULL;
	long n = text && *text ? strtol(text, &end, 10) : -1;

	*port_out = 0;
	if (end && (*end || n < -1 || n > UINT16_MAX))
		return err_set(e, EINVAL, "pprofPort: %s is no port", text);
	if (n > 0)
		*port_out = (uint16_t)n;
	return 0;
}

int profile_door_new_at(const char *text, struct door **out, struct err *e)
{
	uint16_t port;
	int r = profile_port_parse(text, &port, e);

	if (r < 0 || !port)
		return r;
	r = profile_door_new(NULL, port, out, e);
	return r < 0 ? err_wrap(e, "pprofPort") : 0;
}
