/*
 * A request that is passed on: bytes go between the relay's thread and the connection's loop
 * through two bounded buffers, one each way. A full buffer holds its sender back (relay: data()
 * says "not now"; client: its body is not wanted), so a slow side costs a buffer and no more.
 *
 * Two references: the connection's, and the relay's until done() has been heard on the loop. The
 * relay's last job is a job of its own, because an ordinary one may still be queued.
 */
#include "base/clock.h"
#include "base/header_lines.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "daemon/history.h"
#include "daemon/proxy_private.h"
#include "daemon/relay.h"
#include "daemon/task.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define RANK_RELAY_ANSWER 5
#define BUFFER_MAX	  (64u << 10) /* each way; a slow reader costs about three of them */

struct relay_answer {
	struct door_call call;
	struct proxy *p;
	struct door *door;
	struct loop *loop;
	struct errand *errand;
	struct loop_job progress, finish;
	struct lock lock;
	/* under lock */
	struct relay_call *relay; /* NULL when done() has been called */
	int status;		  /* 0: no head yet */
	char *headers;
	struct buf in;	 /* from the origin */
	struct buf body; /* from the client */
	bool body_ended, in_stalled, body_stalled;
	struct err err;
	/* the loop's thread alone */
	struct door_conn *conn; /* NULL: it has gone */
	unsigned refs;
	int told;	    /* status that the client got; 0 = none yet */
	struct buf collect; /* a manifest, to look into */
	bool collecting, busy, finished, broken, body_due;
	uint64_t sent;
};

static void unref(struct relay_answer *a)
{
	struct door *door = a->door;

	if (--a->refs)
		return;
	errand_free(a->errand);
	free(a->headers);
	buf_release(&a->in);
	buf_release(&a->body);
	buf_release(&a->collect);
	lock_release(&a->lock);
	free(a);
	door_release(door);
}

/* ---- the relay's thread */

static void on_head(struct relay_call *c, int status, const char *headers, void *arg)
{
	struct relay_answer *a = arg;

	(void)c;
	lock_guard(&a->lock);
	a->status = status;
	a->headers = mem_strdup(headers);
	loop_post(a->loop, &a->progress);
}

static bool on_data(struct relay_call *c, const void *data, size_t len, void *arg)
{
	struct relay_answer *a = arg;

	(void)c;
	lock_guard(&a->lock);
	a->in_stalled = a->in.len >= BUFFER_MAX;
	if (!a->in_stalled)
		buf_append(&a->in, data, len);
	loop_post(a->loop, &a->progress);
	return !a->in_stalled;
}

static ssize_t on_body(struct relay_call *c, void *out, size_t size, void *arg)
{
	struct relay_answer *a = arg;
	size_t n;

	(void)c;
	lock_guard(&a->lock);
	n = a->body.len < size ? a->body.len : size;
	a->body_stalled = !n && !a->body_ended;
	if (n) {
		memcpy(out, a->body.data, n);
		buf_consume(&a->body, n);
	}
	loop_post(a->loop, &a->progress);
	return a->body_stalled ? -1 : (ssize_t)n;
}

static void on_done(struct relay_call *c, const struct err *e, void *arg)
{
	struct relay_answer *a = arg;

	(void)c;
	lock_take(&a->lock);
	a->relay = NULL;
	if (e)
		a->err = *e;
	lock_drop(&a->lock);
	/* The last touch: the loop may free it from here on. */
	loop_post(a->loop, &a->finish);
}

/* ---- the loop's thread */

static void log_end(const struct relay_answer *a, const char *why)
{
	cleanup(free_at) char *url = NULL;

	trace_within(&a->errand->span.context);
	history_request(a->p->config.history,
			&(struct history_request){
				.method = a->errand->method,
				.url = a->errand->url,
				.way = "relay",
				.rule = a->errand->rule,
				.why = a->errand->failed_by_p2p ? "P2P could not serve it" : why,
				.status = a->told,
				.bytes = a->sent,
				.total_ms = clock_ms() - a->errand->started_ms,
			});
	if (log_level_now < LOG_DEBUG)
		return;
	url = errand_print_url(a->errand);
	log_debug("request relayed",
		  "method=%s url=%s rule=\"%s\" status=%d bytes=%llu ms=%lld why=\"%s\"",
		  a->errand->method, url, a->errand->rule, a->told, (unsigned long long)a->sent,
		  (long long)(clock_ms() - a->errand->started_ms), why);
}

static void answer_gone(struct door_call *call, bool whole)
{
	struct relay_answer *a = container_of(call, struct relay_answer, call);

	if (!a->broken)
		log_end(a, whole ? "" : "the connection has gone");
	lock_take(&a->lock);
	a->conn = NULL;
	if (a->relay)
		relay_cancel(a->relay);
	lock_drop(&a->lock);
	unref(a);
}

static int64_t length_of(const char *headers)
{
	cleanup(free_at) char *text = header_lines_get(headers, "Content-Length", 0);
	char *end;
	long long n;

	if (!text || text[0] < '0' || text[0] > '9')
		return -1;
	errno = 0;
	n = strtoll(text, &end, 10);
	return errno || *end ? -1 : n;
}

/* The origin's lines, without those that the door says itself. */
static void copy_headers(const char *lines, struct buf *out)
{
	while (*lines) {
		size_t n = strcspn(lines, "\n");

		if (n && strncasecmp(lines, "Content-Length:", 15) != 0 &&
		    strncasecmp(lines, "Transfer-Encoding:", 18) != 0 &&
		    strncasecmp(lines, "Connection:", 11) != 0) {
			buf_append(out, lines, n);
			buf_puts(out, "\r\n");
		}
		lines += n + (lines[n] == '\n');
	}
}

static void respond(struct relay_answer *a, int status, const char *headers)
{
	const struct errand *x = a->errand;
	cleanup(buf_release) struct buf text = {0};
	int64_t length = length_of(headers);

	copy_headers(headers, &text);
	if (x->failed_by_p2p && status >= 400)
		buf_puts(&text, ERROR_BACKEND);
	a->collecting = x->kind == ERRAND_MANIFEST && status == 200 &&
			strcmp(x->method, "GET") == 0 && length <= (int64_t)MANIFEST_LEN_MAX;
	a->told = status;
	span_number(&a->errand->span, "http.status_code", status);
	a->busy = true;
	door_respond(a->conn, status, text.data ? text.data : "", length);
}

/* The origin could not be asked, or broke off. */
static void fail(struct relay_answer *a, const struct err *e)
{
	int status = e->code == ETIMEDOUT ? 504
		     : e->code == EACCES  ? 403
		     : e->code == EBUSY	  ? 503
		     : e->code == EINVAL  ? 400
					  : 502;

	log_end(a, e->text);
	proxy_count_failure();
	a->broken = true;
	if (a->told) {
		door_abort(a->conn);
		return;
	}
	a->told = status;
	span_number(&a->errand->span, "http.status_code", status);
	span_fail(&a->errand->span, e->text);
	door_reply(a->conn, status, a->errand->failed_by_p2p ? ERROR_BACKEND : ERROR_PROXY,
		   e->text);
}

/* ---- manifests that pass by */

/* What the pool needs to look into one. */
struct note {
	struct proxy *p;
	char *key, *registry, *repository, *authorization; /* key NULL: by tag, not kept */
	char hex[65];
	char *headers;
	char *body;
	size_t len;
};

static void note_free(struct note *n)
{
	free(n->key);
	free(n->registry);
	free(n->repository);
	free(n->authorization);
	free(n->headers);
	free(n->body);
	free(n);
}

static void note_run(void *arg)
{
	struct note *n = arg;

	if (n->key)
		manifests_put(n->p->manifests, n->key, n->hex, n->headers, n->body, n->len);
	manifests_note_blobs(n->p->tasks, n->registry, n->repository, n->authorization, n->body,
			     n->len);
	note_free(n);
}

/* The whole has passed by. Without a place in the pool it is not noted, which only costs a question
 * later. */
static void look_into_manifest(struct relay_answer *a)
{
	static const char *const kept[] = {"Content-Type", "Docker-Content-Digest", "ETag",
					   "Docker-Distribution-Api-Version", NULL};
	const struct errand *x = a->errand;
	struct buf headers = {0};
	struct note *n;

	if (!a->collecting || !a->collect.len)
		return;
	header_lines_pick(&headers, a->headers, kept);
	n = mem_new(struct note);
	n->p = a->p;
	n->key = x->hex[0] ? manifests_key(x) : NULL;
	memcpy(n->hex, x->hex, sizeof(n->hex));
	n->registry = mem_strdup(x->registry);
	n->repository = mem_strdup(x->repository);
	n->authorization = mem_strdup(errand_header(x, "Authorization"));
	n->headers = buf_take(&headers);
	n->len = a->collect.len;
	n->body = buf_take(&a->collect);
	if (!pool_run(a->p->pool, note_run, n))
		note_free(n);
}

/* ---- moving */

static void send_some(struct relay_answer *a, const struct buf *part)
{
	if (a->collecting) {
		a->collecting = a->collect.len + part->len <= MANIFEST_LEN_MAX;
		if (a->collecting)
			buf_append(&a->collect, part->data, part->len);
	}
	a->busy = true;
	a->sent += part->len;
	door_send(a->conn, part->data, part->len);
}

/* Asks the client for more of its body when there is room for it. */
static void want_body(struct relay_answer *a)
{
	bool room;

	lock_take(&a->lock);
	room = a->body.len < BUFFER_MAX;
	lock_drop(&a->lock);
	if (!a->body_due || !room)
		return;
	a->body_due = false;
	door_want_body(a->conn);
}

/* Moves what can be moved; the one place that talks to the door. */
static void advance(struct relay_answer *a)
{
	cleanup(buf_release) struct buf part = {0};
	char *headers;
	int status;

	if (!a->conn || a->broken)
		return;
	want_body(a);
	lock_take(&a->lock);
	status = a->status; /* set once, as the headers are */
	headers = a->headers;
	if (a->told && !a->busy) {
		part = a->in;
		a->in = (struct buf){0};
	}
	if (a->relay && a->in_stalled && !a->in.len) {
		a->in_stalled = false;
		relay_resume(a->relay);
	}
	lock_drop(&a->lock);
	if (part.len) {
		send_some(a, &part);
	} else if (status && !a->told) {
		respond(a, status, headers);
	} else if (a->finished && !a->busy) {
		look_into_manifest(a);
		door_end(a->conn);
	}
}

static void answer_drained(struct door_call *call)
{
	struct relay_answer *a = container_of(call, struct relay_answer, call);

	a->busy = false;
	advance(a);
}

static void answer_body(struct door_call *call, const char *data, size_t len)
{
	struct relay_answer *a = container_of(call, struct relay_answer, call);

	lock_take(&a->lock);
	buf_append(&a->body, data, len);
	a->body_ended = !len;
	if (a->relay && a->body_stalled) {
		a->body_stalled = false;
		relay_resume(a->relay);
	}
	lock_drop(&a->lock);
	a->body_due = len > 0;
	advance(a);
}

static void run_progress(struct loop_job *job)
{
	advance(job->arg);
}

static void run_finish(struct loop_job *job)
{
	struct relay_answer *a = job->arg;

	a->finished = true;
	if (a->conn && a->err.code)
		fail(a, &a->err);
	else
		advance(a);
	unref(a);
}

void relay_answer_start(struct proxy *p, struct door_conn *c, struct errand *x)
{
	static const struct relay_ops ops = {on_head, on_data, on_body, on_done};
	struct relay_answer *a = mem_new(struct relay_answer);
	struct relay_request rq;

	*a = (struct relay_answer){
		.call = {answer_drained, answer_body, answer_gone},
		.p = p,
		.door = door_of(c),
		.loop = door_loop(c),
		.errand = x,
		.progress = {.run = run_progress, .arg = a},
		.finish = {.run = run_finish, .arg = a},
		.conn = c,
		.refs = 2,
		.body_due = x->body_length != 0,
	};
	list_init(&a->progress.link);
	list_init(&a->finish.link);
	lock_init(&a->lock, RANK_RELAY_ANSWER);
	door_hold(a->door);
	door_take(c, &a->call);
	rq = (struct relay_request){
		.method = x->method,
		.url = x->url,
		.headers = &x->headers,
		.body_length = x->body_length,
	};
	/* Under the lock: done() may come before we know the call. */
	lock_take(&a->lock);
	a->relay = relay_start(p->relay, &rq, &ops, a);
	lock_drop(&a->lock);
	advance(a);
}
