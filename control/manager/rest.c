/* From a request to its route, its handler and its answer. */
#include "control/manager/rest.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/url.h"
#include "control/manager/access.h"
#include "control/manager/audit.h"
#include "control/manager/console.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define PER_PAGE_MAX 10000000

/* ---- answers */

void rest_json(struct rest_call *c, json_t *value)
{
	char *text cleanup(free_at) = json_print(value);

	web_header(c->answer, "Content-Type", "application/json; charset=utf-8");
	buf_clear(&c->answer->body);
	buf_puts(&c->answer->body, text);
	json_decref(value);
}

int rest_texts(struct rest_call *c, struct query *q)
{
	json_t *texts cleanup(json_decref_at) = json_array();
	int r;

	while (query_next(q))
		json_array_append_new(texts, json_string(query_text(q, 0)));
	r = query_end(q);
	if (r == 0)
		rest_json(c, take_ptr(&texts));
	return r;
}

static void refuse_as(struct rest_call *c, int status, const char *member, const char *text)
{
	c->answer->status = status;
	rest_json(c, json_pack("{s:s}", member, text));
}

int rest_refuse(struct rest_call *c, int status, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	refuse_as(c, status, "message", text);
	return 0;
}

/* What the system would say of the code helps nobody who asks over HTTP. */
static void cut_strerror(struct err *e)
{
	char why[64];
	char *tail = strstr(e->text, strerror_r(e->code, why, sizeof(why)));

	if (tail && tail - e->text > 2)
		tail[-2] = 0;
}

void rest_refuse_error(struct rest_call *c, struct err *e)
{
	static const struct {
		int code, status;
	} map[] = {
		{ENOENT, 404}, {EEXIST, 409},  {EBUSY, 409},	{EACCES, 401},
		{EPERM, 403},  {ENOTSUP, 400}, {EMSGSIZE, 413}, {EINVAL, 422},
	};

	for (size_t i = 0; i < array_len(map); i++) {
		if (map[i].code != e->code)
			continue;
		cut_strerror(e);
		refuse_as(c, map[i].status, e->code == EINVAL ? "errors" : "message", e->text);
		return;
	}
	if (e->code == ENOTCONN || e->code == EDEADLK) { /* told in the log by the database */
		web_header(c->answer, "Retry-After", "1");
		refuse_as(c, 503, "message", "the database does not answer: try again");
		return;
	}
	log_error(err_fault(e), "request failed", "method=%s path=%s why=\"%s\"", c->rq->method,
		  c->route->path, e->text);
	refuse_as(c, 500, "message", "internal error: the manager's log says more");
}

/* ---- what handlers ask */

int rest_id(const struct rest_call *c, unsigned n, int64_t *out, struct err *e)
{
	char *end;

	errno = 0;
	*out = strtoll(c->params[n], &end, 10);
	if (errno || *end || end == c->params[n] || *out <= 0)
		return err_set(e, ENOENT, "no such id");
	return 0;
}

int rest_body(const struct rest_call *c, json_t **out, struct err *e)
{
	if (!c->rq->body.len)
		return err_set(e, EINVAL, "the body must be a JSON object");
	return json_parse(c->rq->body.data, c->rq->body.len, WEB_BODY_MAX, out, e);
}

char *rest_query(const struct rest_call *c, const char *name)
{
	struct buf query cleanup(buf_release) = BUF_INIT(WEB_BODY_MAX);

	if (!c->rq->query)
		return NULL;
	/* Forms write a blank as '+'. */
	for (const char *p = c->rq->query; *p; p++)
		buf_append(&query, *p == '+' ? "%20" : p, *p == '+' ? 3 : 1);
	return query.data ? url_query_get(query.data, name) : NULL;
}

static int query_number(const struct rest_call *c, const char *name, int64_t fallback, int64_t max,
			int64_t *out, struct err *e)
{
	char *text cleanup(free_at) = rest_query(c, name);
	char *end;

	*out = fallback;
	if (!text || !*text)
		return 0;
	errno = 0;
	*out = strtoll(text, &end, 10);
	if (errno || *end || *out < 1 || *out > max)
		return err_set(e, EINVAL, "%s must be 1 to %lld", name, (long long)max);
	return 0;
}

int rest_page(const struct rest_call *c, struct rest_page *out, struct err *e)
{
	int r = query_number(c, "page", 1, INT32_MAX, &out->page, e);

	return r < 0 ? r : query_number(c, "per_page", 10, PER_PAGE_MAX, &out->per_page, e);
}

const char *rest_scheme(const struct rest_call *c)
{
	const char *proto = c->rq->forwarded_proto;

	return c->rq->tls || (proto && strcmp(proto, "https") == 0) ? "https" : "http";
}

static void link_append(struct buf *out, const struct rest_call *c, const struct rest_page *p,
			int64_t page, const char *rel)
{
	static const char *const paging[] = {"page", "per_page"};
	char *rest cleanup(free_at) =
		c->rq->query ? url_query_without(c->rq->query, paging, array_len(paging)) : NULL;

	buf_printf(out, "%s<%s://%s%s?%s%spage=%lld&per_page=%lld>; rel=\"%s\"",
		   out->len ? ", " : "", rest_scheme(c), c->rq->host ? c->rq->host : "localhost",
		   c->rq->path, rest ? rest : "", rest ? "&" : "", (long long)page,
		   (long long)p->per_page, rel);
}

void rest_link(struct rest_call *c, const struct rest_page *p, int64_t total)
{
	int64_t last = total ? (total + p->per_page - 1) / p->per_page : 1;
	struct buf links cleanup(buf_release) = BUF_INIT(WEB_BODY_MAX);

	link_append(&links, c, p, p->page > 1 ? p->page - 1 : 1, "prev");
	link_append(&links, c, p, p->page < last ? p->page + 1 : last, "next");
	link_append(&links, c, p, 1, "first");
	link_append(&links, c, p, last, "last");
	web_header(c->answer, "Link", "%s", links.data);
	web_header(c->answer, "X-Total-Count", "%lld", (long long)total);
}

/* ---- routes */

static void params_release(struct rest_call *c)
{
	for (unsigned i = 0; i < c->param_count; i++)
		free(c->params[i]);
	c->param_count = 0;
}

/* Takes one segment of the path as a parameter; false if its escapes are bad. */
static bool take_param(struct rest_call *c, const char *at, size_t len)
{
	char *text = mem_strndup(at, len);

	if (!len || c->param_count == REST_PARAMS_MAX || !url_decode(text)) {
		free(text);
		return false;
	}
	c->params[c->param_count++] = text;
	return true;
}

static bool path_fits(struct rest_call *c, const char *pattern, const char *path)
{
	params_release(c);
	while (*pattern && *path) {
		size_t n, m;

		if (*pattern++ != '/' || *path++ != '/')
			return false;
		n = strcspn(pattern, "/");
		m = strcspn(path, "/");
		if (*pattern == ':' ? !take_param(c, path, m)
				    : n != m || strncmp(pattern, path, n) != 0)
			return false;
		pattern += n;
		path += m;
	}
	return !*pattern && !*path;
}

static const struct route *find_route(struct rest_call *c, const char *method, const char *path)
{
	if (strcmp(method, "HEAD") == 0)
		method = "GET";
	for (const struct route *const *table = rest_routes(); *table; table++)
		for (const struct route *r = *table; r->method; r++)
			if (strcmp(r->method, method) == 0 && path_fits(c, r->path, path))
				return r;
	params_release(c);
	return NULL;
}

static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

/* The Allow header of a path that exists for other methods; false if there is none. */
static bool allow_others(struct rest_call *c, const char *path)
{
	struct buf allowed cleanup(buf_release) = BUF_INIT(256);

	for (size_t i = 0; i < array_len(methods); i++)
		if (find_route(c, methods[i], path))
			buf_printf(&allowed, "%s%s", allowed.len ? ", " : "", methods[i]);
	params_release(c);
	if (!allowed.len)
		return false;
	web_header(c->answer, "Allow", "%s", allowed.data);
	return true;
}

/* ---- the whole */

static bool is_api(const char *path)
{
	return strncmp(path, "/api/", 5) == 0 || strncmp(path, "/oapi/", 6) == 0;
}

static void add_headers(struct web_answer *a, bool api)
{
	web_header(a, "X-Content-Type-Options", "nosniff");
	web_header(a, "X-Frame-Options", "DENY");
	web_header(a, "Referrer-Policy", "same-origin");
	/* The hash is that of nothing: Dragonfly's console fills empty style elements by script. */
	web_header(a, "Content-Security-Policy",
		   "default-src 'self'; style-src 'self' "
		   "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; object-src 'none'; "
		   "base-uri 'none'; form-action 'self'; "
		   "frame-ancestors 'none'; img-src 'self' data:");
	if (api)
		web_header(a, "Cache-Control", "no-store");
}

static void handle(struct rest_call *c)
{
	struct err e = {0};

	if (access_check(c) && c->route->handle(c, &e) < 0)
		rest_refuse_error(c, &e);
	if (c->answer->body.overflow)
		log_error("SK158", "answer is too large", "path=%s", c->route->path);
	if (strcmp(c->route->method, "GET") != 0 ? !(c->route->flags & ROUTE_UNAUDITED)
						 : c->route->flags & ROUTE_AUDITED)
		audit_record(c);
}

static void no_route(struct rest_call *c)
{
	if (allow_others(c, c->rq->path))
		rest_refuse(c, 405, "this path does not take %.16s", c->rq->method);
	else if (is_api(c->rq->path) || !console_answer(c))
		rest_refuse(c, 404, "no such path");
}

void rest_answer(void *rest, const struct web_request *rq, struct web_answer *out)
{
	struct rest_call c = {.rest = rest, .rq = rq, .answer = out};

	access_origin(&c);
	if (strcmp(rq->method, "OPTIONS") == 0) {
		out->status = 204;
	} else {
		c.route = find_route(&c, rq->method, rq->path);
		if (c.route)
			handle(&c);
		else
			no_route(&c);
	}
	add_headers(out, c.route || is_api(rq->path));
	params_release(&c);
	free(c.actor);
}
