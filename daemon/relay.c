/*
 * Relay: curl's multi interface driven by epoll (curl_multi_socket_action()), so that a thousand
 * quiet calls cost nothing. All of a call happens on the loop's thread; resume and cancel are
 * posted to it, so a resume cannot overtake the pause that it answers.
 *
 * curl's sockets are in an epoll set of their own, which the loop watches: curl 7.88 closes sockets
 * that are still connecting without a word and may get the same number again, so whether a number
 * is in the set is the kernel's to know, and every new socket is put into it at once.
 *
 * HTTP/1.1 only: with HTTP/2 a paused call's bytes would pile up in curl (up to its 32 MB window),
 * here they stay in the kernel's socket.
 *
 * States of a call: posted -> running (in the multi) -> ended (done() has been called). Memory is
 * given back when it has ended and no job of it is queued.
 */
#include "daemon/relay.h"

#include "base/clock.h"
#include "base/header_lines.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/url.h"
#include "daemon/answer.h"
#include "daemon/header_list.h"
#include "daemon/transport.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#define CALLS_MAX	4096
#define CONNECTIONS_MAX 256 /* kept while idle */
#define HEAD_TIMEOUT_MS 60000
#define TICK_MS		250
#define RECEIVE_BUFFER	(32L << 10)

struct relay {
	struct transport *transport;
	struct loop *loop;
	CURLM *multi;
	int sockets_fd; /* epoll set of curl's sockets */
	struct watch sockets;
	int64_t stall_ms;
	struct loop_timer curl_timer; /* what curl asked for */
	struct loop_timer tick;	      /* looks for calls that are overdue */
	struct loop_job curl_job;     /* curl wants to run at once */
	struct loop_job start_job, stop_job;
	struct list calls;   /* in the multi */
	unsigned call_count; /* atomic: not ended */
	bool stopped;
};

struct relay_call {
	struct relay *relay;
	struct list link; /* relay->calls */
	struct loop_job job;
	CURL *easy;
	struct curl_slist *headers;
	struct relay_ops ops;
	void *arg;
	char *url;
	bool head_only;	     /* HEAD */
	int64_t body_length; /* as asked */
	int64_t body_left;   /* of body_length > 0 */
	int64_t head_ms;     /* patience for the head, from the last byte of the request */
	int64_t heard_ms;    /* last byte either way */
	bool receive_paused, send_paused;
	bool ended, added;
	bool refused;
	struct answer answer;
	struct err err; /* why it ends; code 0 = not ours */
	char detail[CURL_ERROR_SIZE];
	/* atomic */
	bool queued;
	bool want_resume, want_cancel;
};

/* ---- life of a call */

static void call_free(struct relay_call *c)
{
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	answer_release(&c->answer);
	free(c->url);
	free(c);
}

/* Takes the call out of curl and tells its owner, once. */
static void call_end(struct relay_call *c, const struct err *e)
{
	if (c->ended)
		return;
	c->ended = true;
	if (c->added) {
		curl_multi_remove_handle(c->relay->multi, c->easy);
		list_remove(&c->link);
	}
	c->ops.done(c, e, c->arg);
	__atomic_sub_fetch(&c->relay->call_count, 1, __ATOMIC_ACQ_REL);
	if (!__atomic_load_n(&c->queued, __ATOMIC_ACQUIRE))
		call_free(c);
}

static void call_finish(struct relay_call *c, CURLcode code)
{
	char what[160];
	struct err e = {0};
	bool retryable;

	if (c->err.code) {
		call_end(c, &c->err);
		return;
	}
	if (code == CURLE_OK && c->answer.whole) {
		call_end(c, NULL);
		return;
	}
	if (code == CURLE_OK)
		code = CURLE_GOT_NOTHING;
	snprintf(what, sizeof(what), "relay to %.*s", (int)strcspn(c->url, "?"), c->url);
	transport_error(code, c->refused, c->detail, what, &retryable, &e);
	call_end(c, &e);
}

/* After anything that made curl run. */
static void reap(struct relay *r)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(r->multi, &left)) != NULL) {
		struct relay_call *c;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&c);
		call_finish(c, m->data.result);
	}
}

/* ---- curl's callbacks for one call */

static void give_head(struct relay_call *c)
{
	struct buf lines = BUF_INIT(ANSWER_HEAD_MAX);

	header_lines_end_to_end(&lines, c->answer.lines.data);
	c->ops.head(c, c->answer.status, lines.data ? lines.data : "", c->arg);
	buf_release(&lines);
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	struct relay_call *c = arg;
	size_t len = size * count;
	int r = answer_feed(&c->answer, c->easy, c->head_only, data, len, &c->err);

	if (r > 0) {
		c->heard_ms = clock_ms();
		give_head(c);
		/* A refusal ends the request's body, but curl does not see it while that is held.
		 */
		if (c->send_paused)
			relay_resume(c);
	}
	return r < 0 ? CURL_WRITEFUNC_ERROR : len;
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
	struct relay_call *c = arg;
	size_t len = size * count;

	c->heard_ms = clock_ms();
	if (!c->answer.whole) {
		err_set(&c->err, EPROTO, "a body without a head");
		return CURL_WRITEFUNC_ERROR;
	}
	c->receive_paused = !c->ops.data(c, data, len, c->arg);
	return c->receive_paused ? CURL_WRITEFUNC_PAUSE : len;
}

static size_t on_read(char *out, size_t size, size_t count, void *arg)
{
	struct relay_call *c = arg;
	size_t room = size * count;
	ssize_t n;

	if (c->body_length >= 0 && (uint64_t)c->body_left < room)
		room = (size_t)c->body_left;
	if (room == 0)
		return 0;
	n = c->ops.body(c, out, room, c->arg);
	c->heard_ms = clock_ms();
	c->send_paused = n < 0;
	if (n < 0)
		return CURL_READFUNC_PAUSE;
	if (n == 0 && c->body_length > 0) {
		err_set(&c->err, EPROTO, "the request's body is shorter than its length");
		return CURL_READFUNC_ABORT;
	}
	c->body_left -= n;
	return (size_t)n;
}

/* ---- curl's callbacks for the loop */

static void run_curl(struct relay *r, curl_socket_t fd, int events)
{
	int running;

	curl_multi_socket_action(r->multi, fd, events, &running);
	reap(r);
}

static void sockets_ready(struct watch *w, uint32_t events)
{
	struct relay *r = w->arg;
	struct epoll_event ready[64];
	int n = epoll_wait(r->sockets_fd, ready, array_len(ready), 0);

	(void)events;
	/* One that another's turn has closed meanwhile is unknown to curl, and passed over. */
	for (int i = 0; i < n; i++) {
		int what = 0;

		if (ready[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
			what |= CURL_CSELECT_IN;
		if (ready[i].events & EPOLLOUT)
			what |= CURL_CSELECT_OUT;
		if (ready[i].events & EPOLLERR)
			what |= CURL_CSELECT_ERR;
		run_curl(r, ready[i].data.fd, what);
	}
}

static int watch_socket(struct relay *r, curl_socket_t fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	if (epoll_ctl(r->sockets_fd, EPOLL_CTL_MOD, fd, &ev) == 0)
		return 0;
	return epoll_ctl(r->sockets_fd, EPOLL_CTL_ADD, fd, &ev);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct relay *r = arg;
	struct relay_call *c = NULL;
	uint32_t events = 0;

	(void)socket_arg;
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (events == 0) {
		/* Removed, or paused: a hang-up nobody may look at would wake us for ever. */
		epoll_ctl(r->sockets_fd, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	if (watch_socket(r, fd, events) == 0)
		return 0;
	/* Ends this call; an error told to curl would end all. */
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&c);
	if (c) {
		err_set(&c->err, errno, "watch a socket");
		relay_cancel(c);
	}
	return 0;
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct relay_call *c = arg;
	curl_socket_t fd = transport_open_socket(&c->refused, purpose, a);

	if (fd != CURL_SOCKET_BAD)
		watch_socket(c->relay, fd, EPOLLOUT);
	return fd;
}

/* curl forbids to be run from within: "at once" is a job. */
static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct relay *r = arg;

	(void)multi;
	if (ms < 0)
		loop_timer_cancel(r->loop, &r->curl_timer);
	else if (ms == 0)
		loop_post(r->loop, &r->curl_job);
	else
		loop_timer_arm(r->loop, &r->curl_timer, ms);
	return 0;
}

static void curl_timer_fire(struct loop_timer *t)
{
	run_curl(t->arg, CURL_SOCKET_TIMEOUT, 0);
}

static void curl_job_run(struct loop_job *job)
{
	struct relay *r = job->arg;

	if (!r->stopped)
		run_curl(r, CURL_SOCKET_TIMEOUT, 0);
}

/* Overdue: no head in time, or silence while nobody on our side holds the call back. */
static void tick(struct loop_timer *t)
{
	struct relay *r = t->arg;
	int64_t now = clock_ms();

	list_each_safe (it, &r->calls) {
		struct relay_call *c = list_entry(it, struct relay_call, link);
		int64_t patience = c->answer.whole ? r->stall_ms : c->head_ms;
		struct err e;

		if (c->receive_paused || c->send_paused || now - c->heard_ms < patience)
			continue;
		err_set(&e, ETIMEDOUT, "relay to %.*s", (int)strcspn(c->url, "?"), c->url);
		call_end(c, &e);
	}
	loop_timer_arm(r->loop, &r->tick, TICK_MS);
}

/* ---- what other threads ask for */

static void start_in_loop(struct relay_call *c)
{
	struct relay *r = c->relay;

	if (c->err.code) {
		call_end(c, &c->err);
		return;
	}
	if (curl_multi_add_handle(r->multi, c->easy) != CURLM_OK)
		abort();
	c->added = true;
	list_push_back(&r->calls, &c->link);
}

static void resume_in_loop(struct relay_call *c)
{
	CURLcode code;

	c->receive_paused = c->send_paused = false;
	c->heard_ms = clock_ms();
	code = curl_easy_pause(c->easy, CURLPAUSE_CONT);
	if (code != CURLE_OK)
		call_finish(c, code);
	else
		reap(c->relay);
}

static void job_run(struct loop_job *job)
{
	struct relay_call *c = job->arg;
	bool cancel, resume;

	__atomic_store_n(&c->queued, false, __ATOMIC_SEQ_CST);
	cancel = __atomic_exchange_n(&c->want_cancel, false, __ATOMIC_SEQ_CST);
	resume = __atomic_exchange_n(&c->want_resume, false, __ATOMIC_SEQ_CST);
	if (c->ended) {
		call_free(c);
		return;
	}
	if (cancel || c->relay->stopped) {
		if (!c->err.code)
			err_set(&c->err, ECANCELED, "cancelled");
		call_end(c, &c->err);
	} else if (!c->added) {
		start_in_loop(c);
	} else if (resume) {
		resume_in_loop(c);
	}
}

static void post(struct relay_call *c)
{
	if (!__atomic_exchange_n(&c->queued, true, __ATOMIC_SEQ_CST))
		loop_post(c->relay->loop, &c->job);
}

void relay_resume(struct relay_call *c)
{
	__atomic_store_n(&c->want_resume, true, __ATOMIC_SEQ_CST);
	post(c);
}

void relay_cancel(struct relay_call *c)
{
	__atomic_store_n(&c->want_cancel, true, __ATOMIC_SEQ_CST);
	post(c);
}

/* ---- starting a call */

static int set_url(struct relay_call *c, const char *text, struct err *e)
{
	cleanup(url_release) struct url u = {0};
	int r = url_parse(text, &u, e);

	if (r < 0) {
		c->url = mem_strdup("");
		return r;
	}
	c->url = url_print(&u);
	curl_easy_setopt(c->easy, CURLOPT_URL, c->url);
	return 0;
}

static int set_headers(struct relay_call *c, const struct config_pairs *pairs, struct err *e)
{
	int r = header_pairs_check(pairs, e);

	if (r < 0)
		return r;
	for (size_t i = 0; pairs && i < pairs->count; i++) {
		const char *name = pairs->items[i].name, *value = pairs->items[i].value;

		if (!header_is_transports(name))
			c->headers = header_list_add(c->headers, name, value ? value : "");
	}
	if (!header_pairs_get(pairs, "Accept"))
		c->headers = header_list_suppress(c->headers, "Accept");
	if (!header_pairs_get(pairs, "Expect"))
		c->headers = header_list_suppress(c->headers, "Expect");
	curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->headers);
	return 0;
}

static int set_method(struct relay_call *c, const struct relay_request *rq, struct err *e)
{
	const char *m = rq->method;
	bool sends = strcmp(m, "POST") == 0 || strcmp(m, "PUT") == 0 || strcmp(m, "PATCH") == 0;

	if (!header_name_is_valid(m, strlen(m)) || strcmp(m, "CONNECT") == 0)
		return err_set(e, EINVAL, "a method that cannot be passed on");
	if (rq->body_length != 0 && !c->ops.body)
		return err_set(e, EINVAL, "a body without a source");
	c->head_only = strcmp(m, "HEAD") == 0;
	if (c->head_only) {
		curl_easy_setopt(c->easy, CURLOPT_NOBODY, 1L);
		return 0;
	}
	/* An upload of 0 bytes makes curl send the Content-Length: 0 that these methods need. */
	if (rq->body_length != 0 || sends) {
		curl_easy_setopt(c->easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)rq->body_length);
		/* What has been sent on a connection that turns out dead cannot be sent again. */
		curl_easy_setopt(c->easy, CURLOPT_FRESH_CONNECT, 1L);
	}
	curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, m);
	return 0;
}

static int set_up(struct relay_call *c, const struct relay_request *rq, struct err *e)
{
	CURL *easy = c->easy;
	int r;

	transport_apply(c->relay->transport, easy, &c->refused);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, c);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->detail);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, c);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, RECEIVE_BUFFER);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, c);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(easy, CURLOPT_READDATA, c);
	r = set_url(c, rq->url, e);
	if (r == 0)
		r = set_headers(c, rq->headers, e);
	return r < 0 ? r : set_method(c, rq, e);
}

struct relay_call *relay_start(struct relay *r, const struct relay_request *rq,
			       const struct relay_ops *ops, void *arg)
{
	struct relay_call *c = mem_new(struct relay_call);

	c->relay = r;
	c->ops = *ops;
	c->arg = arg;
	c->body_length = c->body_left = rq->body_length;
	c->heard_ms = clock_ms();
	c->head_ms = rq->deadline_ms ? rq->deadline_ms - c->heard_ms : HEAD_TIMEOUT_MS;
	c->job = (struct loop_job){.run = job_run, .arg = c};
	list_init(&c->job.link);
	list_init(&c->link);
	answer_init(&c->answer);
	c->easy = curl_easy_init();
	if (!c->easy)
		abort();
	/* What is wrong is told by done(), on the loop's thread like everything else. */
	if (set_up(c, rq, &c->err) == 0 &&
	    __atomic_load_n(&r->call_count, __ATOMIC_ACQUIRE) >= CALLS_MAX)
		err_set(&c->err, EBUSY, "%d calls are being relayed", CALLS_MAX);
	__atomic_add_fetch(&r->call_count, 1, __ATOMIC_ACQ_REL);
	post(c);
	return c;
}

/* ---- the relay */

static void stop_run(struct loop_job *job)
{
	struct relay *r = job->arg;

	r->stopped = true;
	list_each_safe (it, &r->calls) {
		struct relay_call *c = list_entry(it, struct relay_call, link);

		err_set(&c->err, ECANCELED, "the daemon stops");
		call_end(c, &c->err);
	}
	loop_timer_cancel(r->loop, &r->tick);
	/* Here, because it calls on_timer(). */
	curl_multi_cleanup(r->multi);
	r->multi = NULL;
	loop_timer_cancel(r->loop, &r->curl_timer);
	loop_unwatch(r->loop, &r->sockets);
}

static void start_run(struct loop_job *job)
{
	struct relay *r = job->arg;
	struct err e;

	/* A set of one: only want of memory could refuse it. */
	if (loop_watch(r->loop, &r->sockets, &e) < 0)
		abort();
	loop_timer_arm(r->loop, &r->tick, TICK_MS);
}

int relay_new(const struct origin_config *config, struct relay **out, struct err *e)
{
	struct relay *r = mem_new(struct relay);
	int result;

	list_init(&r->calls);
	r->stall_ms = config->stall_timeout_ms ? config->stall_timeout_ms : 30000;
	r->curl_timer = (struct loop_timer){.fire = curl_timer_fire, .arg = r};
	list_init(&r->curl_timer.link);
	r->tick = (struct loop_timer){.fire = tick, .arg = r};
	list_init(&r->tick.link);
	r->curl_job = (struct loop_job){.run = curl_job_run, .arg = r};
	list_init(&r->curl_job.link);
	r->start_job = (struct loop_job){.run = start_run, .arg = r};
	list_init(&r->start_job.link);
	r->stop_job = (struct loop_job){.run = stop_run, .arg = r};
	list_init(&r->stop_job.link);
	r->sockets_fd = epoll_create1(EPOLL_CLOEXEC);
	r->sockets = (struct watch){
		.fd = r->sockets_fd, .events = EPOLLIN, .ready = sockets_ready, .arg = r};
	result = r->sockets_fd < 0 ? err_set(e, errno, "epoll_create1")
				   : transport_new(config, &r->transport, e);
	if (result == 0)
		result = loop_new("relay", &r->loop, e);
	if (result < 0) {
		relay_free(r);
		return result;
	}
	r->multi = curl_multi_init();
	if (!r->multi)
		abort();
	curl_multi_setopt(r->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(r->multi, CURLMOPT_SOCKETDATA, r);
	curl_multi_setopt(r->multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(r->multi, CURLMOPT_TIMERDATA, r);
	curl_multi_setopt(r->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX);
	curl_multi_setopt(r->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	loop_post(r->loop, &r->start_job);
	*out = r;
	return 0;
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	if (r->loop) {
		loop_post(r->loop, &r->stop_job);
		loop_free(r->loop); /* runs what is posted first */
	}
	transport_free(r->transport);
	close_at(&r->sockets_fd);
	free(r);
}
