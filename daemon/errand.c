/* Errands: read from a request's head, then owned by whoever runs them. */
#include "daemon/errand.h"

#include "base/clock.h"
#include "base/geometry.h"
#include "base/mem.h"
#include "base/units.h"
#include "daemon/header_list.h"
#include "daemon/task.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define PRIORITY_DEFAULT 6
#define PRIORITY_MAX	 6
#define FILTERED_MAX	 64

const char *errand_header(const struct errand *x, const char *name)
{
	return header_pairs_get(&x->headers, name);
}

void errand_add_header(struct errand *x, const char *name, const char *value)
{
	struct config_pairs *h = &x->headers;

	h->items = mem_realloc(h->items, (h->count + 1) * sizeof(*h->items));
	h->items[h->count].name = mem_strdup(name);
	h->items[h->count].value = mem_strdup(value);
	h->count++;
}

static void take_headers(struct errand *x, const struct http_head *head, const char *without)
{
	for (unsigned i = 0; i < head->header_count; i++) {
		const char *name = head->headers[i].name;

		if (header_is_transports(name) || strcasecmp(name, "Expect") == 0 ||
		    http_header_has_token(head, "Connection", name) ||
		    (without && strcasecmp(name, without) == 0))
			continue;
		errand_add_header(x, name, head->headers[i].value);
	}
}

static int take_bool(const struct http_head *head, const char *name, bool *out, struct err *e)
{
	const char *value = http_header_get(head, name);

	if (!value)
		return 0;
	if (strcasecmp(value, "true") != 0 && strcasecmp(value, "false") != 0)
		return err_set(e, EINVAL, "%s is neither true nor false", name);
	*out = strcasecmp(value, "true") == 0;
	return 0;
}

static char *take_text(const struct http_head *head, const char *name)
{
	const char *value = http_header_get(head, name);

	return value && *value ? mem_strdup(value) : NULL;
}

static int take_priority(struct errand *x, const struct http_head *head, struct err *e)
{
	const char *value = http_header_get(head, "X-Dragonfly-Priority");

	x->priority = PRIORITY_DEFAULT;
	if (!value)
		return 0;
	if (value[0] < '0' || value[0] > '0' + PRIORITY_MAX || value[1])
		return err_set(e, EINVAL, "X-Dragonfly-Priority is not 0 to %d", PRIORITY_MAX);
	x->priority = value[0] - '0';
	return 0;
}

static int take_piece_length(struct errand *x, const struct http_head *head, struct err *e)
{
	const char *value = http_header_get(head, "X-Dragonfly-Piece-Length");
	uint64_t n;

	if (!value)
		return 0;
	if (!units_parse_bytes(value, &n) || n < PIECE_LENGTH_MIN || n > PIECE_LENGTH_MAX)
		return err_set(e, EINVAL, "X-Dragonfly-Piece-Length is not 4MiB to 64MiB");
	x->piece_length = (uint32_t)n;
	return 0;
}

/* A list separated by commas (today) or & (Dragonfly 2.1's X-Dragonfly-Filter). */
static int take_filtered(struct errand *x, const struct http_head *head, struct err *e)
{
	const char *value = http_header_get(head, "X-Dragonfly-Filtered-Query-Params");

	if (!value)
		value = http_header_get(head, "X-Dragonfly-Filter");
	if (!value)
		return 0;
	x->filtered = mem_array(FILTERED_MAX, sizeof(*x->filtered));
	while (*value) {
		size_t n;

		value += strspn(value, ",& \t");
		n = strcspn(value, ",& \t");
		if (n && x->filtered_count == FILTERED_MAX)
			return err_set(e, EINVAL, "more than %d filtered query parameters",
				       FILTERED_MAX);
		if (n)
			x->filtered[x->filtered_count++] = mem_strndup(value, n);
		value += n;
	}
	return 0;
}

static int take_content_for_id(struct errand *x, const struct http_head *head, struct err *e)
{
	x->content_for_id = take_text(head, "X-Dragonfly-Content-For-Calculating-Task-ID");
	if (x->content_for_id && task_is_own_name(x->content_for_id))
		return err_set(
			e, EINVAL,
			"X-Dragonfly-Content-For-Calculating-Task-ID begins with " TASK_OWN_NAMES
			", which is the daemons' own");
	return 0;
}

static int take_wishes(struct errand *x, const struct http_head *head, struct err *e)
{
	const struct {
		const char *name;
		bool *out;
	} switches[] = {
		{"X-Dragonfly-Use-P2P", &x->use_p2p},
		{"X-Dragonfly-Prefetch", &x->prefetch},
		{"X-Dragonfly-Force-Hard-Link", &x->force_hard_link},
		{"X-Dragonfly-Enable-Task-ID-Based-Blob-Digest", &x->blob_digest_id},
	};

	for (size_t i = 0; i < array_len(switches); i++)
		if (take_bool(head, switches[i].name, switches[i].out, e) < 0)
			return -e->code;
	x->tag = take_text(head, "X-Dragonfly-Tag");
	x->application = take_text(head, "X-Dragonfly-Application");
	x->output_path = take_text(head, "X-Dragonfly-Output-Path");
	if (take_content_for_id(x, head, e) < 0 || take_priority(x, head, e) < 0 ||
	    take_piece_length(x, head, e) < 0)
		return -e->code;
	return take_filtered(x, head, e);
}

/* The query only of what a runtime asks a mirror for: elsewhere it may be a credential. */
static void begin_span(struct errand *x, const struct http_head *head)
{
	const char *target = head->target, *path = strstr(target, "://");
	cleanup(free_at) char *shown = NULL;
	struct trace_context parent;

	if (!trace_is_on())
		return;
	if (target[0] == '/')
		path = target;
	else
		path = path ? path + 3 + strcspn(path + 3, "/") : "";
	shown = strncmp(target, "/v2/", 4) == 0 ? mem_strdup(target)
						: mem_strndup(path, strcspn(path, "?"));
	trace_context_parse(http_header_get(head, "traceparent"), &parent);
	span_begin(&x->span, "proxy", SPAN_SERVER, &parent);
	span_text(&x->span, "http.method", head->method);
	span_text(&x->span, "http.url", shown);
	span_text(&x->span, "http.host", http_header_get(head, "Host"));
	span_text(&x->span, "http.user_agent", http_header_get(head, "User-Agent"));
}

int errand_new(const struct http_head *head, const struct errand_defaults *defaults,
	       const char *without, struct errand **out, struct err *e)
{
	struct errand *x = mem_new(struct errand);

	x->method = mem_strdup(head->method);
	x->started_ms = clock_ms();
	x->prefetch = defaults->prefetch;
	x->blob_digest_id = defaults->blob_digest_id;
	x->body_length = head->chunked ? -1 : head->content_length > 0 ? head->content_length : 0;
	x->rule = "none";
	take_headers(x, head, without);
	if (take_wishes(x, head, e) < 0) {
		errand_free(x);
		return -e->code;
	}
	begin_span(x, head);
	*out = x;
	return 0;
}

void errand_free(struct errand *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->headers.count; i++) {
		free(x->headers.items[i].name);
		free(x->headers.items[i].value);
	}
	for (size_t i = 0; i < x->filtered_count; i++)
		free(x->filtered[i]);
	span_end(&x->span);
	free(x->headers.items);
	free(x->filtered);
	free(x->method);
	free(x->url);
	free(x->registry);
	free(x->repository);
	free(x->tag);
	free(x->application);
	free(x->content_for_id);
	free(x->output_path);
	free(x);
}

void errand_filter_by(struct errand *x, const struct config_strings *names)
{
	if (x->filtered || !names->count)
		return;
	x->filtered = mem_array(names->count, sizeof(*x->filtered));
	for (; x->filtered_count < names->count; x->filtered_count++)
		x->filtered[x->filtered_count] = mem_strdup(names->items[x->filtered_count]);
}

struct config_pairs errand_task_headers(const struct errand *x)
{
	static const char *const partial[] = {
		"Range",	  "If-Range",	       "If-Match",
		"If-None-Match",  "If-Modified-Since", "If-Unmodified-Since",
		"Accept-Encoding"};
	struct config_pairs out = {0};

	out.items = mem_array(x->headers.count + 1, sizeof(*out.items));
	for (size_t i = 0; i < x->headers.count; i++) {
		bool keep = true;

		for (size_t k = 0; k < array_len(partial); k++)
			keep = keep && strcasecmp(x->headers.items[i].name, partial[k]) != 0;
		if (keep)
			out.items[out.count++] = x->headers.items[i];
	}
	return out;
}

char *errand_print_url(const struct errand *x)
{
	return mem_strndup(x->url, strcspn(x->url, "?"));
}
