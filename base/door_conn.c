/*
 * One connection of a door: reads a head, hands it to the handler, sends the answer.
 *
 *	state	what it means				who moves it on
 *	HEAD	between requests, or in a head		take_head: -> CALL; end, time: -> CLOSED
 *	CALL	a request is being answered		finish: -> HEAD | LINGER; door_lend: -> LENT
 *	LINGER	answered; waits for the client to close	discard, time: -> CLOSED
 *	LENT	the descriptor is a tunnel's		door_give_back: -> CLOSED
 *	CLOSED	gone; freed when no kick is queued
 *
 * All work is done by pump(), in steps, from an event, a timer or a kick. Nothing else calls the
 * handler, so what a handler calls never calls it back.
 */
#include "base/door_conn.h"

#include "base/clock.h"
#include "base/door_tls.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#define READ_LEN	 (16u << 10)
#define FILE_STEP	 (1u << 20) /* bytes of one sendfile, so that one reader cannot hog the loop */
#define STEPS_MAX	 16
#define OUT_KEEP	 (64u << 10)
#define LINGER_MS	 2000
#define REFUSALS_MS	 60000
#define LINGER_BYTES_MAX (1 << 20)
#define TLS_HANDSHAKE	 0x16 /* the first byte of who speaks TLS (RFC 8446 §5.1) */

enum { TIMER_NONE, TIMER_IDLE, TIMER_HEAD, TIMER_STALL, TIMER_LINGER };

/* ---- the plain stream */

static ssize_t plain_read(void *arg, void *data, size_t len, uint32_t *wait)
{
	struct door_conn *c = arg;
	ssize_t n = recv(c->watch.fd, data, len, 0);

	*wait = EPOLLIN;
	return n < 0 ? -errno : n;
}

static ssize_t plain_write(void *arg, const void *data, size_t len, bool more, uint32_t *wait)
{
	struct door_conn *c = arg;
	ssize_t n = send(c->watch.fd, data, len, MSG_NOSIGNAL | (more ? MSG_MORE : 0));

	*wait = EPOLLOUT;
	return n < 0 ? -errno : n;
}

static ssize_t plain_write_file(void *arg, int fd, uint64_t off, size_t len, uint32_t *wait)
{
	struct door_conn *c = arg;
	off_t at = (off_t)off;
	ssize_t n = sendfile(c->watch.fd, fd, &at, len);

	*wait = EPOLLOUT;
	return n < 0 ? -errno : n;
}

static void plain_close(void *arg)
{
	(void)arg;
}

static const struct door_stream plain = {plain_read, plain_write, plain_write_file, plain_close};

/* ---- small questions */

static bool has_output(const struct door_conn *c)
{
	return c->out_at < c->out.len || c->file_left;
}

static bool is_idle(const struct door_conn *c)
{
	return c->state == DOOR_HEAD && !c->in.len;
}

static bool wants_input(const struct door_conn *c)
{
	if (c->state == DOOR_CALL)
		return c->body_wanted && !has_output(c);
	return c->state == DOOR_HEAD || c->state == DOOR_LINGER;
}

/* ---- life */

static void free_if_unused(struct door_conn *c)
{
	if (c->state == DOOR_CLOSED && !c->kicked && !c->pumping)
		free(c);
}

static void unwatch(struct door_conn *c)
{
	if (c->watched)
		loop_unwatch(c->home->loop, &c->watch);
	c->watched = false;
}

static void forget_request(struct door_conn *c)
{
	if (c->head)
		http_head_release(c->head);
	free(c->head);
	c->head = NULL;
}

void door_conn_drop(struct door_conn *c)
{
	struct door_call *call = c->call;

	if (c->state == DOOR_CLOSED)
		return;
	c->state = DOOR_CLOSED;
	c->call = NULL;
	unwatch(c);
	loop_timer_cancel(c->home->loop, &c->timer);
	list_remove(&c->link);
	list_remove(&c->idle_link);
	if (call)
		call->gone(call, false);
	c->stream->close(c->stream_arg);
	if (c->next_stream)
		c->next_stream->close(c->next_arg);
	close(c->watch.fd);
	forget_request(c);
	buf_release(&c->in);
	buf_release(&c->out);
	free(c->base);
	__atomic_fetch_sub(&c->home->door->connections, 1, __ATOMIC_RELAXED);
	free_if_unused(c);
}

static void kick(struct door_conn *c)
{
	if (c->kicked || c->pumping)
		return;
	c->kicked = true;
	loop_post(c->home->loop, &c->kick);
}

/* ---- in */

/* Reads once. True if there is something new in c->in. */
static bool fill(struct door_conn *c)
{
	char data[READ_LEN];
	ssize_t n;

	if (!c->readable)
		return false;
	n = c->stream->read(c->stream_arg, data, sizeof(data), &c->read_wait);
	if (n == -EAGAIN) {
		c->readable = false;
		return false;
	}
	if (n <= 0) {
		door_conn_drop(c);
		return false;
	}
	buf_append(&c->in, data, (size_t)n);
	return true;
}

/* Garbage may come by the thousand: the log has one line a minute, and the rest with debug. */
static void log_refusal(struct door_conn *c, int status, const char *why)
{
	struct door *d = c->home->door;
	int64_t told_ms = __atomic_load_n(&d->refusal_told_ms, __ATOMIC_RELAXED);
	int64_t now_ms = clock_ms();
	bool tell = !told_ms || now_ms - told_ms >= REFUSALS_MS;

	if (tell)
		__atomic_store_n(&d->refusal_told_ms, now_ms, __ATOMIC_RELAXED);
	log_at(tell ? LOG_WARN : LOG_DEBUG, "request refused",
	       "door=%s peer=%s status=%d why=\"%s\"", d->config.name, door_peer(c), status, why);
}

static void refuse(struct door_conn *c, int status, const char *why)
{
	static const struct metric_family refused = {METRIC_COUNTER, "skimmer_http_refused_total",
						     "Requests that are no good HTTP.", "door"};

	c->state = DOOR_CALL;
	c->responded = c->ended = false;
	c->keep = c->body_done = false;
	metric_add(metric_get(&refused, c->home->door->config.name), 1);
	log_refusal(c, status, why);
	door_reply(c, status, c->home->door->config.refusal_headers, why);
}

static void start_request(struct door_conn *c, const struct http_head *h)
{
	const struct door_config *config = &c->home->door->config;

	c->state = DOOR_CALL;
	c->head = mem_dup(h, sizeof(*h));
	c->body_left = h->content_length > 0 ? (uint64_t)h->content_length : 0;
	c->body_done = !h->chunked && !c->body_left;
	c->body_wanted = false;
	c->continue_due = h->expect_continue && !c->body_done;
	http_chunked_init(&c->chunked_in);
	c->keep = h->keep_alive;
	c->responded = c->no_body = c->chunked_out = c->ended = c->drain_due = false;
	c->timer_kind = TIMER_NONE;
	config->request(c, config->arg);
	assert(c->call || c->ended || c->broken || c->state == DOOR_LENT);
}

static void switch_stream(struct door_conn *c, const struct door_stream *stream, void *arg)
{
	c->stream->close(c->stream_arg);
	c->stream = stream;
	c->stream_arg = arg;
	c->readable = c->writable = true;
}

/* Who speaks no TLS where he should is listened to up to the end of a head, to be answered. */
static bool learn_speech(struct door_conn *c)
{
	unsigned char first = 0;
	ssize_t n = recv(c->watch.fd, &first, 1, MSG_PEEK);

	if (n < 0 && errno == EAGAIN) {
		c->readable = false;
		return false;
	}
	if (n <= 0) {
		door_conn_drop(c);
		return false;
	}
	c->speech = first == TLS_HANDSHAKE ? SPEECH_GOOD : SPEECH_PLAIN;
	if (c->speech == SPEECH_GOOD)
		switch_stream(c, &door_tls_stream,
			      door_tls_accept(c->home->door->config.tls, c->watch.fd));
	return true;
}

/* Parses what is there, or reads more. */
static bool take_head(struct door_conn *c)
{
	struct http_head h;
	struct err e;
	int n = 0;

	if (c->speech == SPEECH_UNKNOWN)
		return learn_speech(c);
	/* A head ends with a line: without a new one there is nothing to parse but the start. */
	if (c->in.len > c->looked_at &&
	    (!c->looked_at || c->in.len >= HTTP_HEAD_MAX ||
	     memchr(c->in.data + c->looked_at, '\n', c->in.len - c->looked_at)))
		n = http_head_parse(HTTP_REQUEST, c->in.data, c->in.len, &h, &e);
	c->looked_at = c->in.len;
	if (n == 0)
		return fill(c);
	c->looked_at = 0;
	if (n < 0) {
		refuse(c, n == -EMSGSIZE ? 431 : n == -ENOTSUP ? 501 : 400, e.text);
		return true;
	}
	buf_consume(&c->in, (size_t)n);
	if (c->speech == SPEECH_PLAIN) {
		http_head_release(&h);
		refuse(c, 400, "this port speaks TLS: ask with https://");
		return true;
	}
	start_request(c, &h);
	return true;
}

static bool give_chunks(struct door_conn *c)
{
	struct buf part = BUF_INIT(HTTP_HEAD_MAX + READ_LEN);
	struct err e;
	ssize_t n = http_chunked_feed(&c->chunked_in, c->in.data, c->in.len, &part, &e);

	if (n < 0) {
		log_debug("request body refused", "peer=%s why=\"%s\"", door_peer(c), e.text);
		door_conn_drop(c);
	} else {
		buf_consume(&c->in, (size_t)n);
		c->body_done = c->chunked_in.done;
		c->body_wanted = !part.len;
		if (part.len)
			c->call->body(c->call, part.data, part.len);
	}
	buf_release(&part);
	return n >= 0;
}

/* Gives the handler the part of the body it asked for. */
static bool give_body(struct door_conn *c)
{
	size_t n;

	if (!c->body_wanted)
		return false;
	if (c->continue_due) {
		c->continue_due = false;
		if (!c->responded)
			buf_puts(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
		return true;
	}
	if (c->body_done) {
		c->body_wanted = false;
		c->call->body(c->call, "", 0);
		return true;
	}
	if (!c->in.len)
		return fill(c);
	if (c->head->chunked)
		return give_chunks(c);
	n = c->in.len < c->body_left ? c->in.len : (size_t)c->body_left;
	c->body_left -= n;
	c->body_done = !c->body_left;
	c->body_wanted = false;
	c->call->body(c->call, c->in.data, n);
	buf_consume(&c->in, n);
	return true;
}

static bool discard(struct door_conn *c)
{
	if (!fill(c))
		return false;
	c->linger_left -= (int64_t)c->in.len;
	buf_clear(&c->in);
	if (c->linger_left > 0)
		return true;
	door_conn_drop(c);
	return false;
}

/* ---- out */

/* Sends once: 1 something went, 0 nothing, -1 the connection is broken. */
static int flush(struct door_conn *c)
{
	ssize_t n;

	if (!c->writable || !has_output(c))
		return 0;
	if (c->out_at < c->out.len) {
		n = c->stream->write(c->stream_arg, c->out.data + c->out_at, c->out.len - c->out_at,
				     c->file_left > 0, &c->write_wait);
	} else {
		n = c->stream->write_file(c->stream_arg, c->file_fd, c->file_off,
					  c->file_left < FILE_STEP ? c->file_left : FILE_STEP,
					  &c->write_wait);
	}
	if (n == -EAGAIN) {
		c->writable = false;
		return 0;
	}
	if (n <= 0)
		return -1;
	if (c->out_at < c->out.len) {
		c->out_at += (size_t)n;
	} else {
		c->file_off += (uint64_t)n;
		c->file_left -= (uint64_t)n;
	}
	if (c->out_at == c->out.len) {
		c->out_at = 0;
		buf_clear(&c->out);
		if (c->out.cap > OUT_KEEP)
			buf_release(&c->out);
	}
	return 1;
}

/* Closing at once would answer unread input by a reset, which may overtake our answer. */
static void linger(struct door_conn *c)
{
	switch_stream(c, &plain, c);
	shutdown(c->watch.fd, SHUT_WR);
	buf_clear(&c->in);
	c->linger_left = LINGER_BYTES_MAX;
	c->state = DOOR_LINGER;
}

/* The answer is out. */
static void finish(struct door_conn *c)
{
	struct door_call *call = c->call;

	c->call = NULL;
	if (call)
		call->gone(call, true);
	forget_request(c);
	c->state = DOOR_HEAD;
	if (c->next_stream) {
		switch_stream(c, c->next_stream, c->next_arg);
		c->next_stream = NULL;
	} else if (!c->keep || !c->body_done) {
		linger(c);
	}
	buf_release(&c->out);
	if (!c->in.len)
		buf_release(&c->in);
}

/* ---- steps */

/* One step; false if there is nothing to do now. */
static bool step(struct door_conn *c)
{
	int r = c->broken ? -1 : flush(c);

	if (r < 0) {
		door_conn_drop(c);
		return false;
	}
	if (r > 0 || has_output(c))
		return r > 0;
	switch (c->state) {
	case DOOR_HEAD:
		return take_head(c);
	case DOOR_CALL:
		if (c->ended) {
			finish(c);
			return true;
		}
		if (c->drain_due && c->call) {
			c->drain_due = false;
			c->call->drained(c->call);
			return true;
		}
		return give_body(c);
	case DOOR_LINGER:
		return discard(c);
	default:
		return false;
	}
}

static void update_timer(struct door_conn *c, bool moved)
{
	const struct door_config *config = &c->home->door->config;
	const int64_t delays[] = {0, config->idle_timeout_ms, config->head_timeout_ms,
				  config->stall_timeout_ms, LINGER_MS};
	int kind = TIMER_NONE;

	if (c->state == DOOR_HEAD)
		kind = c->in.len ? TIMER_HEAD : TIMER_IDLE;
	else if (c->state == DOOR_LINGER)
		kind = TIMER_LINGER;
	else if (has_output(c) || c->body_wanted)
		kind = TIMER_STALL;
	/* A head and a farewell have one deadline, however often a byte comes. */
	if (kind == c->timer_kind && (!moved || kind == TIMER_HEAD || kind == TIMER_LINGER))
		return;
	c->timer_kind = kind;
	if (kind == TIMER_NONE)
		loop_timer_cancel(c->home->loop, &c->timer);
	else
		loop_timer_arm(c->home->loop, &c->timer, delays[kind]);
}

static void update_watch(struct door_conn *c)
{
	uint32_t events = (wants_input(c) ? c->read_wait : 0) | (has_output(c) ? c->write_wait : 0);

	/* Somebody who waits for an answer and leaves is told by this alone. */
	if (c->state == DOOR_CALL)
		events |= EPOLLRDHUP;
	loop_rewatch(c->home->loop, &c->watch, events);
}

static void pump(struct door_conn *c)
{
	bool moved = false, more = true;

	c->pumping = true;
	for (int i = 0; more && i < STEPS_MAX; i++) {
		more = step(c);
		moved |= more;
	}
	c->pumping = false;
	if (c->state == DOOR_CLOSED) {
		free_if_unused(c);
		return;
	}
	if (c->state == DOOR_LENT)
		return;
	update_timer(c, moved);
	update_watch(c);
	if (!is_idle(c))
		list_remove(&c->idle_link);
	else if (moved || list_empty(&c->idle_link)) {
		list_remove(&c->idle_link);
		list_push_back(&c->home->idle, &c->idle_link);
	}
	if (more)
		kick(c);
}

static void conn_ready(struct watch *w, uint32_t events)
{
	struct door_conn *c = w->arg;

	if (c->state == DOOR_CALL && (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP))) {
		door_conn_drop(c);
		return;
	}
	c->readable = c->writable = true;
	pump(c);
}

static void conn_kicked(struct loop_job *job)
{
	struct door_conn *c = job->arg;

	c->kicked = false;
	if (c->state == DOOR_CLOSED)
		free_if_unused(c);
	else
		pump(c);
}

static void conn_late(struct loop_timer *t)
{
	struct door_conn *c = t->arg;

	if (c->timer_kind != TIMER_HEAD) {
		door_conn_drop(c);
		return;
	}
	refuse(c, 408, "the head of the request came too slowly");
	pump(c);
}

void door_conn_new(struct door_loop *home, int fd)
{
	struct door_conn *c = mem_new(struct door_conn);
	struct err e;

	*c = (struct door_conn){
		.home = home,
		.watch = {.fd = fd, .events = EPOLLIN, .ready = conn_ready, .arg = c},
		.watched = true,
		.timer = {.fire = conn_late, .arg = c},
		.kick = {.run = conn_kicked, .arg = c},
		.stream = &plain,
		.stream_arg = c,
		.speech = home->door->config.tls ? SPEECH_UNKNOWN : SPEECH_GOOD,
		.readable = true,
		.writable = true,
		.in = BUF_INIT(HTTP_HEAD_MAX + READ_LEN),
		.read_wait = EPOLLIN,
		.write_wait = EPOLLOUT,
	};
	list_init(&c->timer.link);
	list_init(&c->kick.link);
	list_init(&c->idle_link);
	list_push_back(&home->conns, &c->link);
	__atomic_fetch_add(&home->door->connections, 1, __ATOMIC_RELAXED);
	if (loop_watch(home->loop, &c->watch, &e) < 0) {
		c->watched = false;
		log_warn("door cannot watch a connection", "why=\"%s\"", e.text);
		door_conn_drop(c);
		return;
	}
	pump(c);
}

/* ---- what handlers call */

struct loop *door_loop(const struct door_conn *c)
{
	return c->home->loop;
}

struct door *door_of(const struct door_conn *c)
{
	return c->home->door;
}

const struct http_head *door_head(const struct door_conn *c)
{
	return c->head;
}

const char *door_peer(struct door_conn *c)
{
	if (!c->peer[0] && !net_peer_ip(c->watch.fd, c->peer, sizeof(c->peer)))
		snprintf(c->peer, sizeof(c->peer), "?");
	return c->peer;
}

const char *door_base(const struct door_conn *c)
{
	return c->base;
}

int door_fd(const struct door_conn *c)
{
	return c->watch.fd;
}

bool door_has_body(const struct door_conn *c)
{
	return !c->body_done;
}

void door_take(struct door_conn *c, struct door_call *call)
{
	assert(c->state == DOOR_CALL && !c->ended);
	c->call = call;
}

static bool has_date(const char *headers)
{
	return strncasecmp(headers, "Date:", 5) == 0 || strcasestr(headers, "\r\nDate:") != NULL;
}

void door_respond(struct door_conn *c, int status, const char *headers, int64_t length)
{
	bool old = c->head && c->head->minor == 0;
	char date[32];

	assert(c->state == DOOR_CALL && !c->responded);
	c->responded = c->drain_due = true;
	c->no_body =
		status == 204 || status == 304 || (c->head && strcmp(c->head->method, "HEAD") == 0);
	c->answer_left = length;
	c->chunked_out = length < 0 && !old && !c->no_body;
	if (length < 0 && old && !c->no_body)
		c->keep = false;
	buf_printf(&c->out, "HTTP/1.1 %d %s\r\n%s", status, http_reason(status), headers);
	if (!has_date(headers)) {
		http_date(date);
		buf_printf(&c->out, "Date: %s\r\n", date);
	}
	if (length >= 0 && status != 204 && status != 304)
		buf_printf(&c->out, "Content-Length: %lld\r\n", (long long)length);
	if (c->chunked_out)
		buf_puts(&c->out, "Transfer-Encoding: chunked\r\n");
	if (!c->keep || !c->body_done)
		buf_puts(&c->out, "Connection: close\r\n");
	else if (old)
		buf_puts(&c->out, "Connection: keep-alive\r\n");
	buf_puts(&c->out, "\r\n");
	kick(c);
}

/* Counts len bytes of the body; false if they are not to be sent. */
static bool may_send(struct door_conn *c, uint64_t len)
{
	assert(c->state == DOOR_CALL && c->responded && !c->ended && !c->file_left);
	c->drain_due = true;
	kick(c);
	if (c->no_body || !len)
		return false;
	if (c->answer_left >= 0) {
		if (len > (uint64_t)c->answer_left) {
			door_abort(c);
			return false;
		}
		c->answer_left -= (int64_t)len;
	}
	return true;
}

void door_send(struct door_conn *c, const void *data, size_t len)
{
	if (!may_send(c, len))
		return;
	if (c->chunked_out)
		buf_printf(&c->out, "%zx\r\n", len);
	buf_append(&c->out, data, len);
	if (c->chunked_out)
		buf_puts(&c->out, "\r\n");
}

void door_send_file(struct door_conn *c, int fd, uint64_t off, uint64_t len)
{
	assert(!c->chunked_out);
	if (!may_send(c, len))
		return;
	c->file_fd = fd;
	c->file_off = off;
	c->file_left = len;
}

void door_end(struct door_conn *c)
{
	assert(c->state == DOOR_CALL && c->responded && !c->ended);
	if (!c->no_body && c->answer_left > 0) {
		door_abort(c);
		return;
	}
	if (c->chunked_out)
		buf_puts(&c->out, "0\r\n\r\n");
	c->ended = true;
	kick(c);
}

void door_abort(struct door_conn *c)
{
	struct linger reset = {.l_onoff = 1};

	/* A body that ends with the connection would look whole after an orderly end. */
	if (c->responded && c->answer_left < 0 && !c->chunked_out)
		setsockopt(c->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	c->broken = true;
	kick(c);
}

void door_reply(struct door_conn *c, int status, const char *headers, const char *body)
{
	cleanup(free_at) char *text = mem_printf("%s\n", body);
	cleanup(free_at) char *all =
		mem_printf("Content-Type: text/plain; charset=utf-8\r\n%s", headers);

	if (!body[0])
		text[0] = 0;
	door_respond(c, status, all, (int64_t)strlen(text));
	door_send(c, text, strlen(text));
	door_end(c);
}

void door_want_body(struct door_conn *c)
{
	assert(c->state == DOOR_CALL && c->call && c->call->body);
	c->body_wanted = true;
	kick(c);
}

int door_lend(struct door_conn *c, struct buf *early)
{
	assert(c->state == DOOR_CALL && c->call && !c->responded);
	unwatch(c);
	loop_timer_cancel(c->home->loop, &c->timer);
	list_remove(&c->idle_link);
	c->state = DOOR_LENT;
	*early = c->in;
	c->in = (struct buf){0};
	return c->watch.fd;
}

void door_give_back(struct door_conn *c)
{
	assert(c->state == DOOR_LENT);
	c->call = NULL;
	door_conn_drop(c);
}

void door_upgrade(struct door_conn *c, const char *base, const struct door_stream *stream,
		  void *arg)
{
	assert(c->state == DOOR_CALL && !c->responded && !c->next_stream);
	c->next_stream = stream;
	c->next_arg = arg;
	free(c->base);
	c->base = mem_strdup(base);
	if (c->in.len || !c->body_done) {
		door_abort(c);
		return;
	}
	buf_puts(&c->out, "HTTP/1.1 200 Connection established\r\n\r\n");
	c->responded = c->ended = true;
	kick(c);
}
