/*
 * Lengths, ranges and small bodies, judged strictly: bytes reach a sink only when the answer's head
 * says that they are the bytes that were asked for. How an answer is got is inquiry.h's business.
 */
#include "daemon/origin.h"

#include "base/header_lines.h"
#include "base/http.h"
#include "base/mem.h"
#include "daemon/exchange.h"
#include "daemon/header_list.h"
#include "daemon/inquiry.h"
#include "daemon/registry.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LEN_MAX INT64_MAX

struct origin {
	struct exchange_pool *pool;
	struct registry *registry;
	struct config_pairs extra;
	unsigned retries_max;
};

static const char *const kept_headers[] = {"Content-Type", "ETag", "Last-Modified",
					   "Docker-Content-Digest", NULL};
static const char *const validators[] = {"ETag", "Last-Modified", NULL};

static void copy_pairs(struct config_pairs *to, const struct config_pairs *from)
{
	if (!from || from->count == 0)
		return;
	to->items = mem_array(from->count, sizeof(*to->items));
	for (; to->count < from->count; to->count++) {
		to->items[to->count].name = mem_strdup(from->items[to->count].name);
		to->items[to->count].value = mem_strdup(from->items[to->count].value);
	}
}

int origin_new(const struct origin_config *c, struct origin **out, struct err *e)
{
	struct exchange_pool *pool = NULL;
	struct origin *o;
	int r = header_pairs_check(c->extra_headers, e);

	if (r == 0)
		r = exchange_pool_new(c, &pool, e);
	if (r < 0)
		return r;
	o = mem_new(struct origin);
	o->pool = pool;
	o->registry = registry_new(c->docker_config, pool);
	o->retries_max = c->retries_max;
	copy_pairs(&o->extra, c->extra_headers);
	*out = o;
	return 0;
}

void origin_free(struct origin *o)
{
	if (!o)
		return;
	registry_free(o->registry);
	exchange_pool_free(o->pool);
	for (size_t i = 0; i < o->extra.count; i++) {
		free(o->extra.items[i].name);
		free(o->extra.items[i].value);
	}
	free(o->extra.items);
	free(o);
}

void origin_info_release(struct origin_info *i)
{
	free(i->headers);
	i->headers = NULL;
}

static struct inquiry inquiry_for(const struct origin *o, const struct origin_request *rq,
				  void *arg)
{
	return (struct inquiry){.pool = o->pool,
				.registry = o->registry,
				.rq = rq,
				.extra = &o->extra,
				.retries_max = o->retries_max,
				.method = "GET",
				.arg = arg};
}

static int fail(const struct exchange *x, struct err *e, const char *why)
{
	char what[200];

	exchange_print(x, what, sizeof(what));
	return err_set(e, EPROTO, "%s: %s", what, why);
}

/* The content is still the one of `before`. A 206 may leave Last-Modified out, but not the ETag. */
static int check_same(const char *before, const struct exchange *x, struct err *e)
{
	for (unsigned i = 0; validators[i]; i++) {
		cleanup(free_at) char *old = header_lines_get(before, validators[i], 0);
		cleanup(free_at) char *now =
			header_lines_get(x->answer.lines.data, validators[i], 0);

		if (old && ((!now && i == 0) || (now && strcmp(old, now) != 0)))
			return fail(x, e, "the content has changed");
	}
	return 0;
}

/* The Content-Range of a 206; -EPROTO unless it makes sense. */
static int content_range(const struct exchange *x, uint64_t *first_out, uint64_t *last_out,
			 int64_t *total_out, struct err *e)
{
	cleanup(free_at) char *text = header_lines_get(x->answer.lines.data, "Content-Range", 0);

	if (!text || !http_content_range_parse(text, first_out, last_out, total_out) ||
	    *first_out > *last_out || *last_out >= LEN_MAX ||
	    (*total_out >= 0 && *last_out >= (uint64_t)*total_out))
		return fail(x, e, "206 without a sound Content-Range");
	if (x->answer.length >= 0 && (uint64_t)x->answer.length != *last_out - *first_out + 1)
		return fail(x, e, "Content-Length and Content-Range disagree");
	return 0;
}

/* ---- stat */

struct stat_call {
	struct origin_info *info;
	bool ask_range;
	bool known;
};

static struct curl_slist *stat_headers(struct inquiry *q, struct curl_slist *list)
{
	const struct stat_call *c = q->arg;

	return c->ask_range ? header_list_add(list, "Range", "bytes=0-0") : list;
}

static int stat_head(struct inquiry *q, struct exchange *x, struct err *e)
{
	struct stat_call *c = q->arg;
	struct origin_info *i = c->info;
	uint64_t first = 0, last = 0;
	int r = 0;

	q->drop = true;
	if (x->answer.status == 206) {
		if (!c->ask_range)
			return fail(x, e, "206 without having asked for a range");
		r = content_range(x, &first, &last, &i->content_length, e);
		if (r == 0 && (first != 0 || last != 0))
			r = fail(x, e, "Content-Range is not what was asked for");
		i->ranges = true;
	} else if (x->answer.status == 416) {
		cleanup(free_at) char *text =
			header_lines_get(x->answer.lines.data, "Content-Range", 0);

		/* Any other 416: an origin that has its own idea of ranges; asked again without. */
		if (!c->ask_range || !text || strcmp(text, "bytes */0") != 0)
			return c->ask_range ? 0
					    : fail(x, e, "416 without having asked for a range");
		i->content_length = 0;
		i->ranges = true;
	} else {
		i->content_length = x->answer.length;
		x->enough = x->answer.length < 0;
	}
	c->known = r == 0;
	return r == 0 && q->rq->same_as ? check_same(q->rq->same_as, x, e) : r;
}

static int stat_end(struct inquiry *q, struct exchange *x, struct err *e)
{
	struct stat_call *c = q->arg;
	struct buf lines = BUF_INIT(64u << 10);

	(void)e;
	/* A 416's other headers are those of an error page. */
	header_lines_pick(&lines, x->answer.lines.data,
			  x->answer.status == 416 ? validators : kept_headers);
	free(c->info->headers);
	c->info->headers = buf_take(&lines);
	return 0;
}

int origin_stat(struct origin *o, const struct origin_request *rq, struct origin_info *out,
		struct err *e)
{
	struct origin_info info = {.content_length = -1};
	struct stat_call c = {.info = &info, .ask_range = true};
	struct inquiry q = inquiry_for(o, rq, &c);
	int r;

	q.own_headers = stat_headers;
	q.on_head = stat_head;
	q.on_end = stat_end;
	r = inquiry_run(&q, e);
	if (r == 0 && !c.known) {
		c.ask_range = false;
		r = inquiry_run(&q, e);
	}
	if (r < 0)
		origin_info_release(&info);
	else
		*out = info;
	return r;
}

/* ---- probe */

static struct curl_slist *probe_headers(struct inquiry *q, struct curl_slist *list)
{
	(void)q;
	return header_list_add(list, "Range", "bytes=0-0");
}

static int probe_head(struct inquiry *q, struct exchange *x, struct err *e)
{
	cleanup(url_release) struct url asked = {0};
	struct origin_probe *out = q->arg;
	int r = url_parse(q->rq->url, &asked, e);
	size_t len;

	if (r < 0)
		return r;
	len = strlen(asked.path);
	out->status = x->answer.status;
	out->folder =
		strncmp(x->url->path, asked.path, len) == 0 && strcmp(x->url->path + len, "/") == 0;
	q->drop = true;
	return 0;
}

int origin_probe(struct origin *o, const struct origin_request *rq, struct origin_probe *out,
		 struct err *e)
{
	struct inquiry q = inquiry_for(o, rq, out);

	q.any_status = true;
	q.own_headers = probe_headers;
	q.on_head = probe_head;
	return inquiry_run(&q, e);
}

/* ---- get */

struct get_call {
	uint64_t at;   /* the next byte that the sink gets */
	uint64_t end;  /* behind the last byte; LEN_MAX = not known yet */
	uint64_t skip; /* bytes of this answer before `at` */
	uint64_t stop; /* behind the last byte of this answer; LEN_MAX = not told */
	bool ranged;   /* this try asked for a range */
	bool part;     /* this answer is one */
	int64_t total; /* of the whole content, -1 = not told yet */
	char *seen;    /* validators of the first answer; NULL = none yet */
	origin_sink sink;
	void *arg;
};

static struct curl_slist *get_headers(struct inquiry *q, struct curl_slist *list)
{
	struct get_call *c = q->arg;
	const char *before = c->seen ? c->seen : q->rq->same_as;
	cleanup(free_at) char *etag = header_lines_get(before, "ETag", 0);
	char range[80];

	c->ranged = c->at > 0 || c->end != LEN_MAX;
	if (!c->ranged)
		return list;
	if (c->end == LEN_MAX)
		snprintf(range, sizeof(range), "bytes=%" PRIu64 "-", c->at);
	else
		snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, c->at, c->end - 1);
	list = header_list_add(list, "Range", range);
	if (etag && etag[0] == '"')
		list = header_list_add(list, "If-Range", etag);
	return list;
}

/* total is what this answer says the whole content has, -1 = nothing. */
static int check_total(struct get_call *c, const struct exchange *x, int64_t total, struct err *e)
{
	if (total < 0)
		return 0;
	if (c->total >= 0 && c->total != total)
		return fail(x, e, "the content's length has changed");
	c->total = total;
	if (c->end == LEN_MAX && c->at <= (uint64_t)total)
		c->end = (uint64_t)total;
	if (c->end > (uint64_t)total)
		return fail(x, e, "the content is shorter than what was asked for");
	return 0;
}

static int judge_part(struct get_call *c, const struct exchange *x, struct err *e)
{
	uint64_t first = 0, last = 0;
	int64_t total = -1;
	int r = content_range(x, &first, &last, &total, e);

	if (r < 0)
		return r;
	if (!c->ranged)
		return fail(x, e, "206 without having asked for a range");
	r = check_total(c, x, total, e);
	if (r < 0)
		return r;
	if (first != c->at || last >= c->end)
		return fail(x, e, "Content-Range is not what was asked for");
	c->part = true;
	c->skip = 0;
	c->stop = last + 1;
	return 0;
}

static int judge_whole(struct get_call *c, const struct exchange *x, struct err *e)
{
	c->part = false;
	c->skip = c->at;
	c->stop = x->answer.length >= 0 ? (uint64_t)x->answer.length : LEN_MAX;
	return check_total(c, x, x->answer.length, e);
}

static int get_head(struct inquiry *q, struct exchange *x, struct err *e)
{
	struct get_call *c = q->arg;
	const char *before = c->seen ? c->seen : q->rq->same_as;
	int r;

	if (x->answer.status == 416)
		return fail(x, e, "the content ends before the range asked for");
	r = check_same(before, x, e);
	if (r == 0)
		r = x->answer.status == 206 ? judge_part(c, x, e) : judge_whole(c, x, e);
	if (r == 0 && !c->seen) {
		struct buf lines = BUF_INIT(64u << 10);

		header_lines_pick(&lines, x->answer.lines.data, validators);
		c->seen = buf_take(&lines);
	}
	return r;
}

static int get_body(struct inquiry *q, struct exchange *x, const void *data, size_t len,
		    struct err *e)
{
	struct get_call *c = q->arg;
	const char *bytes = data;
	uint64_t limit = c->end < c->stop ? c->end : c->stop;
	int r = 0;

	if (c->skip >= len) {
		c->skip -= len;
		return 0;
	}
	bytes += c->skip;
	len -= (size_t)c->skip;
	c->skip = 0;
	if (len > limit - c->at) {
		if (c->part)
			return fail(x, e, "more bytes than the range asked for");
		len = (size_t)(limit - c->at);
		x->enough = true;
	}
	if (len > 0)
		r = c->sink(c->arg, bytes, len, e);
	if (r < 0)
		return r;
	c->at += len;
	q->progress += len;
	if (!c->part && c->at == c->end && c->stop != c->end)
		x->enough = true;
	return 0;
}

static int get_end(struct inquiry *q, struct exchange *x, struct err *e)
{
	struct get_call *c = q->arg;

	if (c->at == c->end || (c->end == LEN_MAX && x->answer.delimited && c->skip == 0)) {
		c->end = c->at;
		return 0;
	}
	/* Without a length only the end of the connection says that it was all. */
	if (c->end == LEN_MAX && c->skip == 0) {
		c->end = c->at;
		return 0;
	}
	/* A part of the range, or a connection that was lost: the rest is asked for. */
	q->retryable = (c->part && c->at == c->stop) || !x->answer.delimited;
	return fail(x, e, "the body is shorter than what was asked for");
}

int origin_get(struct origin *o, const struct origin_request *rq, origin_sink sink, void *arg,
	       struct err *e)
{
	struct get_call c = {.at = rq->off, .end = LEN_MAX, .total = -1, .sink = sink, .arg = arg};
	struct inquiry q = inquiry_for(o, rq, &c);
	int r;

	if (rq->off > LEN_MAX || rq->len > LEN_MAX - rq->off)
		return err_set(e, EINVAL, "a range beyond all files");
	if (rq->len > 0)
		c.end = rq->off + rq->len;
	q.own_headers = get_headers;
	q.on_head = get_head;
	q.on_body = get_body;
	q.on_end = get_end;
	r = inquiry_run(&q, e);
	free(c.seen);
	return r;
}

/* ---- fetch */

struct fetch_call {
	struct buf body;
	char *headers;
	int status;
};

static int too_long(const struct exchange *x, struct err *e)
{
	char what[200];

	exchange_print(x, what, sizeof(what));
	return err_set(e, EMSGSIZE, "%s: the answer is longer than it may be", what);
}

static int fetch_head(struct inquiry *q, struct exchange *x, struct err *e)
{
	struct fetch_call *c = q->arg;

	buf_clear(&c->body);
	if (x->answer.length > 0 && (uint64_t)x->answer.length > c->body.len_max)
		return too_long(x, e);
	return 0;
}

static int fetch_body(struct inquiry *q, struct exchange *x, const void *data, size_t len,
		      struct err *e)
{
	struct fetch_call *c = q->arg;

	buf_append(&c->body, data, len);
	return c->body.overflow ? too_long(x, e) : 0;
}

static int fetch_end(struct inquiry *q, struct exchange *x, struct err *e)
{
	struct fetch_call *c = q->arg;
	struct buf lines = BUF_INIT(128u << 10);

	(void)e;
	header_lines_end_to_end(&lines, x->answer.lines.data);
	free(c->headers);
	c->headers = buf_take(&lines);
	c->status = x->answer.status;
	return 0;
}

int origin_fetch(struct origin *o, const struct origin_request *rq, const char *method,
		 size_t len_max, int *status_out, char **headers_out, char **body_out,
		 size_t *body_len_out, struct err *e)
{
	struct fetch_call c = {.body = BUF_INIT(len_max ? len_max : 1)};
	struct inquiry q = inquiry_for(o, rq, &c);
	int r;

	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return err_set(e, EINVAL, "only GET and HEAD can be tried again");
	q.method = method;
	q.any_status = true;
	q.conditional = true;
	q.on_head = fetch_head;
	q.on_body = fetch_body;
	q.on_end = fetch_end;
	r = inquiry_run(&q, e);
	if (r == 0) {
		if (status_out)
			*status_out = c.status;
		if (headers_out)
			*headers_out = take_ptr(&c.headers);
		*body_len_out = c.body.len;
		*body_out = buf_take(&c.body);
	}
	free(c.headers);
	buf_release(&c.body);
	return r;
}
