/*
 * CONNECT: bytes go both ways between a client and the host it asked for, whatever they are.
 *
 *	resolving	a worker asks for the address		run_resolved: -> connecting, or 502
 *	connecting	the door still owns the client		remote_ready: -> open, or 502, 504
 *	open		the client's descriptor is lent to us	both sides ended, an error, idleness
 *
 * Nothing is read from a side while the other has bytes to take: a slow side costs one buffer. An
 *end on one side is passed on as an end of that direction alone.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/pool.h"
#include "daemon/history.h"
#include "daemon/proxy_private.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define CONNECT_MS	10000
#define IDLE_DEFAULT_MS 600000
#define PART_LEN	(32u << 10)
#define TURNS_MAX	8 /* reads of one side before the loop goes on */

struct side {
	struct tunnel *tunnel;
	struct watch watch; /* fd -1: not there */
	bool watched;
	bool ended; /* nothing more comes from it */
	bool shut;  /* it was told that nothing more goes to it */
	struct buf out;
	uint64_t received;
};

struct tunnel {
	struct door_call call;
	struct proxy *p;
	struct door *door;
	struct loop *loop;
	struct door_conn *conn; /* NULL: over */
	unsigned refs;		/* the connection's, and the worker's */
	char *host;
	uint16_t port;
	struct loop_job resolved;
	struct net_addr addr; /* set before the job is posted, like err */
	struct err err;
	struct side client, remote;
	bool open;
	struct loop_timer timer;
	int64_t started_ms, moved_ms;
};

static void unref(struct tunnel *t)
{
	struct door *door = t->door;

	if (--t->refs)
		return;
	buf_release(&t->client.out);
	buf_release(&t->remote.out);
	free(t->host);
	free(t);
	door_release(door);
}

static void side_unwatch(struct side *s)
{
	if (s->watched)
		loop_unwatch(s->tunnel->loop, &s->watch);
	s->watched = false;
}

static void note_end(const struct tunnel *t, const char *why)
{
	cleanup(free_at) char *url = mem_printf("https://%s:%u/", t->host, t->port);

	history_request(t->p->config.history,
			&(struct history_request){.method = "CONNECT",
						  .url = url,
						  .way = "tunnel",
						  .why = why,
						  .bytes = t->remote.received,
						  .total_ms = clock_ms() - t->started_ms});
}

/* Lets go of everything but the client's descriptor, which is the door's to close. */
static void clean_up(struct tunnel *t, const char *why)
{
	note_end(t, why);
	if (t->open)
		log_debug("tunnel closed",
			  "host=%s port=%u sent=%llu received=%llu ms=%lld why=\"%s\"", t->host,
			  t->port, (unsigned long long)t->client.received,
			  (unsigned long long)t->remote.received,
			  (long long)(clock_ms() - t->started_ms), why);
	t->conn = NULL;
	loop_timer_cancel(t->loop, &t->timer);
	side_unwatch(&t->client);
	side_unwatch(&t->remote);
	close_at(&t->remote.watch.fd);
	unref(t);
}

static void tunnel_gone(struct door_call *call, bool whole)
{
	(void)whole;
	clean_up(container_of(call, struct tunnel, call), "the client has gone");
}

/* Before it is open: the door says why not. tunnel_gone() follows when that is out. */
static void refuse(struct tunnel *t, int status, const char *why)
{
	side_unwatch(&t->remote);
	loop_timer_cancel(t->loop, &t->timer);
	door_reply(t->conn, status, ERROR_PROXY, why);
}

/* ---- open */

static void finish(struct tunnel *t, const char *why)
{
	struct door_conn *c = t->conn;

	clean_up(t, why);
	door_give_back(c);
}

/* Sends what waits for s; false if it is broken. */
static bool side_flush(struct side *s)
{
	while (s->out.len) {
		ssize_t n = send(s->watch.fd, s->out.data, s->out.len, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN;
		buf_consume(&s->out, (size_t)n);
	}
	buf_release(&s->out);
	return true;
}

/* Carries bytes from one side to the other until one of them must wait; false if one is broken. */
static bool carry(struct side *from, struct side *to)
{
	char data[PART_LEN];

	if (!side_flush(to))
		return false;
	for (int i = 0; i < TURNS_MAX && !from->ended && !to->out.len; i++) {
		ssize_t n = recv(from->watch.fd, data, sizeof(data), 0);

		if (n < 0)
			return errno == EAGAIN;
		from->ended = n == 0;
		from->received += (uint64_t)n;
		from->tunnel->moved_ms = clock_ms();
		buf_append(&to->out, data, (size_t)n);
		if (!side_flush(to))
			return false;
	}
	if (from->ended && !to->out.len && !to->shut) {
		to->shut = true;
		shutdown(to->watch.fd, SHUT_WR);
	}
	return true;
}

/* A side of which nothing is wanted is not watched at all: a hang-up would be told for ever. */
static bool side_watch(struct side *s, const struct side *other)
{
	uint32_t events = (s->ended || other->out.len ? 0 : EPOLLIN) | (s->out.len ? EPOLLOUT : 0);
	struct err e;

	if (!events) {
		side_unwatch(s);
	} else if (s->watched) {
		loop_rewatch(s->tunnel->loop, &s->watch, events);
	} else {
		s->watch.events = events;
		s->watched = loop_watch(s->tunnel->loop, &s->watch, &e) == 0;
		return s->watched;
	}
	return true;
}

static void move(struct tunnel *t)
{
	bool fine = carry(&t->client, &t->remote) && carry(&t->remote, &t->client);

	if (!fine)
		finish(t, "a side broke off");
	else if (t->client.shut && t->remote.shut)
		finish(t, "");
	else if (!side_watch(&t->client, &t->remote) || !side_watch(&t->remote, &t->client))
		finish(t, "no memory to watch it");
}

static void side_ready(struct watch *w, uint32_t events)
{
	(void)events;
	move(w->arg);
}

/* ---- connecting */

static void tunnel_late(struct loop_timer *timer)
{
	struct tunnel *t = timer->arg;
	int64_t idle_ms =
		t->p->config.tunnel_idle_ms ? t->p->config.tunnel_idle_ms : IDLE_DEFAULT_MS;
	int64_t left_ms = t->moved_ms + idle_ms - clock_ms();

	if (!t->open)
		refuse(t, 504, "the host does not answer");
	else if (left_ms > 0)
		loop_timer_arm(t->loop, &t->timer, left_ms);
	else
		finish(t, "idle");
}

static void open_up(struct tunnel *t)
{
	struct buf early;

	side_unwatch(&t->remote);
	t->client.watch.fd = door_lend(t->conn, &early);
	t->open = true;
	t->moved_ms = clock_ms();
	t->remote.watch.ready = side_ready;
	t->remote.out = early;
	t->remote.out.len_max = 0;
	buf_puts(&t->client.out, "HTTP/1.1 200 Connection established\r\n\r\n");
	tunnel_late(&t->timer);
	move(t);
}

static void remote_ready(struct watch *w, uint32_t events)
{
	struct tunnel *t = w->arg;
	socklen_t len = sizeof(int);
	int code = 0;
	struct err e;

	(void)events;
	if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		code = errno;
	if (code) {
		err_set(&e, code, "connect to %s", t->host);
		refuse(t, 502, e.text);
		return;
	}
	open_up(t);
}

static int start_connect(struct tunnel *t, struct err *e)
{
	const struct sockaddr *sa = (const struct sockaddr *)&t->addr.sa;
	int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_set(e, errno, "make a socket");
	t->remote.watch.fd = fd;
	if (connect(fd, sa, t->addr.len) < 0 && errno != EINPROGRESS)
		return err_set(e, errno, "connect to %s", t->host);
	t->remote.watch.events = EPOLLOUT;
	if (loop_watch(t->loop, &t->remote.watch, e) < 0)
		return -e->code;
	t->remote.watched = true;
	loop_timer_arm(t->loop, &t->timer, CONNECT_MS);
	return 0;
}

static void run_resolved(struct loop_job *job)
{
	struct tunnel *t = job->arg;
	char ip[INET6_ADDRSTRLEN + 8] = "";

	if (t->conn && t->err.code) {
		refuse(t, 502, t->err.text);
	} else if (t->conn) {
		uint16_t port;
		char text[sizeof(ip) + 8];

		net_addr_print(&t->addr, text, sizeof(text));
		if (!net_split(text, ip, sizeof(ip), 0, &port) || net_ip_is_forbidden(ip))
			refuse(t, 403, "this address may not be reached through the proxy");
		else if (proxy_is_self(t->p, t->conn, ip, t->port))
			refuse(t, 508, "the tunnel leads back to this proxy");
		else if (start_connect(t, &t->err) < 0)
			refuse(t, 502, t->err.text);
	}
	unref(t);
}

/* A worker: resolving may block. */
static void resolve(void *arg)
{
	struct tunnel *t = arg;

	if (net_resolve(t->host, t->port, &t->addr, &t->err) == 0)
		t->err = (struct err){0};
	loop_post(t->loop, &t->resolved);
}

static void nothing_to_send(struct door_call *call)
{
	(void)call;
}

void tunnel_request(struct proxy *p, struct door_conn *c, const char *host, uint16_t port)
{
	struct tunnel *t = mem_new(struct tunnel);

	*t = (struct tunnel){
		.call = {nothing_to_send, NULL, tunnel_gone},
		.p = p,
		.door = door_of(c),
		.loop = door_loop(c),
		.conn = c,
		.refs = 2,
		.host = mem_strdup(host),
		.port = port,
		.resolved = {.run = run_resolved, .arg = t},
		.client = {.tunnel = t, .watch = {.fd = -1, .ready = side_ready, .arg = t}},
		.remote = {.tunnel = t, .watch = {.fd = -1, .ready = remote_ready, .arg = t}},
		.timer = {.fire = tunnel_late, .arg = t},
		.started_ms = clock_ms(),
	};
	list_init(&t->resolved.link);
	list_init(&t->timer.link);
	door_hold(t->door);
	door_take(c, &t->call);
	if (!pool_run(p->pool, resolve, t)) {
		refuse(t, 503, "too many names are being resolved");
		unref(t);
	}
}
