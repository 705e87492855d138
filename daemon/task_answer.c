/*
 * A request answered by P2P: opens the task, says the head once the length is known, then sends
 * piece after piece as they come, straight from the store's descriptor.
 *
 * At most two pieces are asked for ahead of what is being sent; how the rest of the task is fetched
 * is the task's own business. When the client goes, what was asked is taken back.
 *
 * References: the connection's, and one for every question (open, read) that is out; a question's
 * answer comes on any thread and is carried to the loop by the question's own job.
 */
#include "base/clock.h"
#include "base/header_lines.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/pool.h"
#include "daemon/downloads.h"
#include "daemon/history.h"
#include "daemon/proxy_private.h"
#include "daemon/task.h"
#include "daemon/task_output.h"
#include "proto/task_id.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define PARTS	  2
#define OUTPUT_MS (30 * 60 * INT64_C(1000)) /* to the whole content, for a file of it */

static const struct metric_family via_p2p = {
	METRIC_COUNTER, "dragonfly_client_proxy_request_via_dfdaemon_total",
	"Requests to the proxy that were answered by P2P.", NULL};

/*
 *	PART_FREE	nothing				ask: -> ASKED
 *	PART_ASKED	a read is out			its job: -> READY | FAILED
 *	PART_READY	its bytes can be sent		send: -> SENDING
 *	PART_SENDING	the door has it			drained: -> FREE
 *	PART_FAILED	no source had it
 */
enum part_state { PART_FREE, PART_ASKED, PART_READY, PART_SENDING, PART_FAILED };

struct part {
	struct task_answer *answer;
	enum part_state state; /* loop's thread */
	struct waiter waiter;
	struct loop_job job;
	struct extent extent; /* set before the job is posted, like err */
	struct err err;
};

struct task_answer {
	struct door_call call;
	struct proxy *p;
	struct door *door;
	struct loop *loop;
	struct errand *errand;
	struct door_conn *conn; /* NULL: it has gone */
	unsigned refs;
	struct task_open open;
	struct loop_job opened;
	bool opening;
	struct task *task;
	struct err err; /* of the open */
	struct task_progress before;
	int status;
	uint64_t total, sent;
	uint64_t at, end; /* next byte to ask for, and behind the last */
	struct part parts[PARTS];
	unsigned turn; /* the part to send next */
	struct span reply;
	int64_t stalled_us, waited_us; /* for the span: since when, and how long, for a piece */
};

static void count(const struct errand *x, enum downloads_figure f)
{
	downloads_count(f, x->tag, x->application, x->priority);
}

static void unref(struct task_answer *a)
{
	struct door *door = a->door;

	if (--a->refs)
		return;
	if (a->task)
		task_unref(a->task);
	if (a->errand)
		count(a->errand, DOWNLOADS_ENDED);
	errand_free(a->errand);
	free(a);
	door_release(door);
}

static void log_end(struct task_answer *a, const char *why)
{
	cleanup(free_at) char *url = errand_print_url(a->errand);
	struct task_progress now = {0};

	trace_within(&a->errand->span.context);
	history_request(a->p->config.history,
			&(struct history_request){
				.method = a->errand->method,
				.url = url,
				.way = "p2p",
				.rule = a->errand->rule,
				.task_id = a->task ? task_meta(a->task)->id : NULL,
				.why = why,
				.status = a->status,
				.bytes = a->sent,
				.total_ms = clock_ms() - a->errand->started_ms,
			});
	if (a->task)
		task_progress(a->task, &now);
	log_info("p2p request",
		 "method=%s url=%s rule=\"%s\" task=%s status=%d bytes=%" PRIu64
		 " from_origin=%" PRIu64 " from_peers=%" PRIu64 " ms=%" PRId64 " why=\"%s\"",
		 a->errand->method, url, a->errand->rule, a->task ? task_meta(a->task)->id : "",
		 a->status, a->sent, now.from_origin - a->before.from_origin,
		 now.from_peers - a->before.from_peers, clock_ms() - a->errand->started_ms, why);
}

/* ---- the trace */

static void trace_reply(struct task_answer *a)
{
	const struct trace_context *of = &a->errand->span.context;
	struct trace_context download = task_trace(a->task);

	span_text(&a->errand->span, "d7y.task.id", task_meta(a->task)->id);
	span_number(&a->errand->span, "http.status_code", a->status);
	/* What another request began. */
	if (memcmp(download.trace_id, of->trace_id, sizeof(of->trace_id)) != 0)
		span_link(&a->errand->span, &download);
	if (trace_context_is_set(of))
		span_begin(&a->reply, "reply", SPAN_INTERNAL, of);
}

/* Nothing is there to be sent from here on, or (false) something is. */
static void trace_stall(struct task_answer *a, bool stalled)
{
	if (!a->reply.recording)
		return;
	if (a->stalled_us && !stalled)
		a->waited_us += clock_us() - a->stalled_us;
	a->stalled_us = stalled ? a->stalled_us ? a->stalled_us : clock_us() : 0;
}

static void trace_end(struct task_answer *a, bool whole)
{
	trace_stall(a, false);
	span_number(&a->reply, "d7y.bytes", (int64_t)a->sent);
	span_number(&a->reply, "d7y.wait_us", a->waited_us);
	if (!whole)
		span_fail(&a->reply, "the connection ended early");
	span_end(&a->reply);
	if (a->err.code)
		span_fail(&a->errand->span, a->err.text);
	span_end(&a->errand->span);
}

/* ---- parts */

static void part_done(struct waiter *w, const struct extent *x, const struct err *e)
{
	struct part *part = w->arg;

	part->err = e ? *e : (struct err){0};
	if (x)
		part->extent = extent_keep(x);
	loop_post(part->answer->loop, &part->job);
}

/* Asks for the next bytes, as far as there is a free part. A read stays within one piece. */
static void ask_ahead(struct task_answer *a)
{
	const struct geometry *g = &task_meta(a->task)->geometry;

	trace_within(&a->errand->span.context);
	for (unsigned i = 0; i < PARTS && a->at < a->end; i++) {
		struct part *part = &a->parts[(a->turn + i) % PARTS];
		uint32_t index = geometry_index(g, a->at);
		uint64_t stop = geometry_offset(g, index) + geometry_length(g, index);
		uint64_t at = a->at;

		if (part->state != PART_FREE)
			continue;
		if (stop > a->end)
			stop = a->end;
		part->state = PART_ASKED;
		a->at = stop;
		a->refs++;
		task_read(a->task, at, (uint32_t)(stop - at), &part->waiter, 0);
	}
}

static void advance(struct task_answer *a)
{
	struct part *part = &a->parts[a->turn];

	ask_ahead(a);
	trace_stall(a, part->state == PART_ASKED);
	if (part->state == PART_READY) {
		part->state = PART_SENDING;
		door_send_file(a->conn, part->extent.fd, part->extent.off, part->extent.len);
	} else if (part->state == PART_FAILED) {
		log_warn("p2p answer broken off", "task=%s at=%" PRIu64 " why=\"%s\"",
			 task_meta(a->task)->id, a->sent, part->err.text);
		proxy_count_failure();
		count(a->errand, DOWNLOADS_FAILED);
		door_abort(a->conn);
	}
}

static void part_ready(struct loop_job *job)
{
	struct part *part = job->arg;
	struct task_answer *a = part->answer;

	part->state = part->err.code ? PART_FAILED : PART_READY;
	if (a->conn) {
		advance(a);
	} else if (part->state == PART_READY) {
		extent_release(&part->extent);
		part->state = PART_FREE;
	}
	unref(a);
}

static void part_drop(struct part *part)
{
	if (part->state == PART_READY || part->state == PART_SENDING)
		extent_release(&part->extent);
	else if (part->state != PART_ASKED || !task_read_cancel(&part->waiter))
		return;
	else
		part->answer->refs--; /* never the last: the connection's is there still */
	part->state = PART_FREE;
}

/* ---- the connection */

static void answer_drained(struct door_call *call)
{
	struct task_answer *a = container_of(call, struct task_answer, call);
	struct part *part = &a->parts[a->turn];

	if (part->state != PART_SENDING)
		return;
	a->sent += part->extent.len;
	extent_release(&part->extent);
	part->state = PART_FREE;
	a->turn = (a->turn + 1) % PARTS;
	if (a->sent == a->total)
		door_end(a->conn);
	else
		advance(a);
}

static void answer_gone(struct door_call *call, bool whole)
{
	struct task_answer *a = container_of(call, struct task_answer, call);

	log_end(a, whole ? "" : "the connection ended early");
	trace_end(a, whole);
	a->conn = NULL;
	if (a->opening && task_open_cancel(&a->open)) {
		a->opening = false;
		a->refs--;
	}
	for (unsigned i = 0; i < PARTS; i++)
		part_drop(&a->parts[i]);
	unref(a);
}

/* ---- the head */

static void put_headers(const struct task_answer *a, struct buf *out)
{
	static const char *const kept[] = {"Content-Type",
					   "Content-Encoding",
					   "Content-Disposition",
					   "Cache-Control",
					   "ETag",
					   "Last-Modified",
					   "Docker-Content-Digest",
					   "Docker-Distribution-Api-Version",
					   NULL};
	const struct store_meta *meta = task_meta(a->task);
	const struct errand *x = a->errand;
	cleanup(buf_release) struct buf lines = {0};
	const char *at;

	if (meta->headers)
		header_lines_pick(&lines, meta->headers, kept);
	for (at = lines.data; at && *at; at += strcspn(at, "\n") + 1)
		buf_printf(out, "%.*s\r\n", (int)strcspn(at, "\n"), at);
	if (!out->data || !strcasestr(out->data, "Content-Type:"))
		buf_puts(out, "Content-Type: application/octet-stream\r\n");
	if (x->kind == ERRAND_BLOB && !strcasestr(out->data, "Docker-Content-Digest:"))
		buf_printf(out, "Docker-Content-Digest: sha256:%s\r\n", x->hex);
	buf_printf(out,
		   "Accept-Ranges: bytes\r\nX-Dragonfly-Task-ID: %s\r\n"
		   "X-Dragonfly-Task-Download-Finished: %s\r\n",
		   meta->id, a->before.complete ? "true" : "false");
	if (a->p->config.own_ip)
		buf_printf(out, "X-Dragonfly-Server-IP: %s\r\n", a->p->config.own_ip);
}

/* Whether the part that the client holds is of what we have (RFC 9110, section 13.1.5). */
static bool if_range_holds(const struct task_answer *a)
{
	const char *want = errand_header(a->errand, "If-Range");
	const char *lines = task_meta(a->task)->headers;
	cleanup(free_at) char *have = NULL;

	if (!want)
		return true;
	if (lines)
		have = header_lines_get(lines, want[0] == '"' ? "ETag" : "Last-Modified", 0);
	return have && strcmp(have, want) == 0;
}

/* ---- X-Dragonfly-Output-Path */

struct output {
	struct proxy *p;
	struct task *task;
	char *path;
	bool hard_link;
};

static void output_free(struct output *o)
{
	task_unref(o->task);
	free(o->path);
	free(o);
}

static void output_run(void *arg)
{
	struct output *o = arg;
	const struct task_output out = {
		.dir = o->p->config.output_dir,
		.path = o->path,
		.hard_link = o->hard_link,
		.deadline_ms = clock_ms() + OUTPUT_MS,
		.stopping = &o->p->stopping,
	};
	struct err e;

	if (task_output_write(o->task, &out, &e) < 0)
		log_warn("output file not written", "path=\"%s\" why=\"%s\"", o->path, e.text);
	else
		log_info("output file written", "path=\"%s\" task=%s", o->path,
			 task_meta(o->task)->id);
	output_free(o);
}

/* The file is made beside the answer, and goes on when the client has left. */
static void start_output(struct task_answer *a)
{
	struct output *o = mem_new(struct output);

	task_ref(a->task);
	*o = (struct output){a->p, a->task, mem_strdup(a->errand->output_path),
			     a->errand->force_hard_link};
	if (pool_run(a->p->files, output_run, o))
		return;
	log_warn("output file not written", "path=\"%s\" why=\"too many wait\"", o->path);
	output_free(o);
}

static void respond(struct task_answer *a)
{
	uint64_t length = task_meta(a->task)->geometry.content_length;
	const char *wanted = errand_header(a->errand, "Range");
	bool head = strcmp(a->errand->method, "HEAD") == 0;
	cleanup(buf_release) struct buf text = {0};
	struct http_range range = {0};
	struct err e;

	put_headers(a, &text);
	if (!head && if_range_holds(a) && http_range_parse(wanted, length, &range, &e) < 0) {
		buf_printf(&text, "Content-Range: bytes */%" PRIu64 "\r\n", length);
		a->status = 416;
		door_respond(a->conn, 416, text.data, 0);
		door_end(a->conn);
		return;
	}
	a->status = range.present ? 206 : 200;
	a->at = range.off;
	a->total = range.present ? range.len : length;
	a->end = a->at + a->total;
	if (range.present)
		buf_printf(&text, "Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n",
			   a->at, a->end - 1, length);
	if (range.present && a->errand->prefetch) {
		count(a->errand, DOWNLOADS_PREFETCHED);
		task_want_all(a->task, TASK_REST);
	}
	if (a->errand->output_path && !head)
		start_output(a);
	trace_reply(a);
	door_respond(a->conn, a->status, text.data, (int64_t)a->total);
	if (head || !a->total)
		door_end(a->conn);
	else
		advance(a);
}

/* ---- opening */

/* Leaves the connection to another answer. */
static struct errand *leave(struct task_answer *a)
{
	struct errand *x = a->errand;

	count(x, DOWNLOADS_ENDED);
	a->errand = NULL;
	a->conn = NULL;
	a->refs--; /* never the last: the open's is there still */
	return x;
}

/* P2P cannot: the origin's own answer is the best there is, be it 401, 404 or 200. */
static void give_up(struct task_answer *a)
{
	int status = a->err.code == ETIMEDOUT ? 504 : a->err.code == ENOBUFS ? 503 : 502;
	struct door_conn *c = a->conn;
	struct proxy *p = a->p;

	if (!p->config.disable_back_to_source && a->err.code != ENOBUFS &&
	    a->err.code != ECANCELED) {
		struct errand *x = leave(a);

		log_debug("p2p request relayed", "rule=\"%s\" why=\"%s\"", x->rule, a->err.text);
		x->failed_by_p2p = true;
		relay_answer_start(p, c, x);
		return;
	}
	a->status = status;
	proxy_count_failure();
	count(a->errand, DOWNLOADS_FAILED);
	door_reply(c, status, ERROR_DFDAEMON, a->err.text);
}

static void open_done(struct task_open *o, struct task *t, const struct err *e)
{
	struct task_answer *a = o->arg;

	a->task = t;
	if (e)
		a->err = *e;
	loop_post(a->loop, &a->opened);
}

static void run_opened(struct loop_job *job)
{
	struct task_answer *a = job->arg;

	a->opening = false;
	if (a->task)
		task_progress(a->task, &a->before);
	if (a->conn && a->task)
		respond(a);
	else if (a->conn)
		give_up(a);
	unref(a);
}

static void open_task(struct task_answer *a)
{
	const struct errand *x = a->errand;
	cleanup(free_at) char *digest =
		x->kind == ERRAND_BLOB ? mem_printf("sha256:%s", x->hex) : NULL;
	struct config_pairs headers = errand_task_headers(x);
	const struct task_request rq = {
		.url = x->url,
		.digest = digest,
		.tag = x->tag,
		.application = x->application,
		.headers = &headers,
		.filtered_params =
			x->filtered ? (const char *const *)x->filtered : task_id_default_filter,
		.filtered_param_count =
			x->filtered ? x->filtered_count : task_id_default_filter_count,
		.piece_length = x->piece_length,
		.blob_digest_id = x->blob_digest_id,
		.content_for_id = x->content_for_id,
		.priority = x->priority,
		.disable_back_to_source = a->p->config.disable_back_to_source,
	};

	trace_within(&x->span.context);
	task_open(a->p->tasks, &rq, &a->open);
	free(headers.items);
}

void task_answer_start(struct proxy *p, struct door_conn *c, struct errand *x)
{
	struct task_answer *a;
	struct err e;

	if (x->output_path && task_output_check(p->config.output_dir, x->output_path, &e) < 0) {
		door_reply(c, 403, ERROR_PROXY, e.text);
		errand_free(x);
		return;
	}
	metric_add(metric_get(&via_p2p), 1);
	count(x, DOWNLOADS_BEGUN);
	a = mem_new(struct task_answer);
	*a = (struct task_answer){
		.call = {answer_drained, NULL, answer_gone},
		.p = p,
		.door = door_of(c),
		.loop = door_loop(c),
		.errand = x,
		.conn = c,
		.refs = 2,
		.open = {.done = open_done, .arg = a},
		.opened = {.run = run_opened, .arg = a},
		.opening = true,
	};
	list_init(&a->opened.link);
	for (unsigned i = 0; i < PARTS; i++) {
		struct part *part = &a->parts[i];

		part->answer = a;
		part->waiter.done = part_done;
		part->waiter.arg = part;
		part->job.run = part_ready;
		part->job.arg = part;
		list_init(&part->job.link);
	}
	door_hold(a->door);
	door_take(c, &a->call);
	open_task(a);
}
