/* What was asked of task_open(). */
#include "daemon/request.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/geometry.h"
#include "base/mem.h"
#include "base/url.h"
#include "proto/task_id.h"

#include <errno.h>
#include <string.h>

/* Shorter pieces than Dragonfly's 4 MiB are of use in tests and for small things only. */
#define PIECE_LENGTH_LEAST 4096
#define TEXT_MAX	   (64u << 10)
#define PARAMS_MAX	   256

static int make_id(struct request *r, const struct task_request *rq, struct err *e)
{
	const struct task_id_input in = {.url = rq->url,
					 .tag = rq->tag,
					 .application = rq->application,
					 .piece_length = rq->piece_length,
					 .filtered_params = rq->filtered_params,
					 .filtered_param_count = rq->filtered_param_count,
					 .content_for_id = rq->content_for_id,
					 .blob_digest_id = rq->blob_digest_id};
	const char *hex;

	if (rq->id) {
		if (!digest_is_hex64(rq->id))
			return err_set(e, EINVAL, "a task id is 64 hex digits");
		memcpy(r->id, rq->id, sizeof(r->id));
		return 0;
	}
	if (!rq->url && !rq->content_for_id && rq->digest && digest_is_sha256(rq->digest, &hex)) {
		memcpy(r->id, hex, sizeof(r->id));
		return 0;
	}
	return task_id_make(&in, r->id, e);
}

/* Is the id the digest of the content? */
static bool is_named_by_digest(const struct task_request *rq)
{
	const char *hex;

	if (!rq->blob_digest_id || rq->content_for_id)
		return false;
	return !rq->url || task_id_blob_url(rq->url, &hex);
}

static int set_digest(struct request *r, const struct task_request *rq, struct err *e)
{
	const char *hex;

	if (rq->digest && !digest_is_sha256(rq->digest, &hex))
		return err_set(e, EINVAL, "a digest is sha256: and 64 hex digits");
	if (is_named_by_digest(rq) && rq->digest && strcmp(hex, r->id) != 0)
		return err_set(e, EINVAL, "a blob of another digest than its name says");
	if (rq->digest)
		r->digest = mem_strdup(rq->digest);
	else if (is_named_by_digest(rq))
		r->digest = mem_printf("sha256:%s", r->id);
	return 0;
}

/* Without the parameters that do not count: signatures are among them. */
static int set_url(struct request *r, const struct task_request *rq, struct err *e)
{
	cleanup(url_release) struct url u = {0};
	char *query;
	int n;

	if (!rq->url)
		return 0;
	n = url_parse(rq->url, &u, e);
	if (n < 0)
		return n;
	r->url = mem_strdup(rq->url);
	query = u.query ? url_query_without(u.query, rq->filtered_params, rq->filtered_param_count)
			: NULL;
	free(u.query);
	u.query = query;
	r->origin = url_print(&u);
	r->source = source_new(rq->url, rq->headers);
	return 0;
}

static void take_fingerprint(struct request *r, const struct task_request *rq)
{
	cleanup(buf_release) struct buf b = BUF_INIT(0);

	buf_printf(&b, "%s\n%s\n%s\n%u %d%d%d", r->id, r->url ? r->url : "",
		   r->digest ? r->digest : "", r->piece_length, r->need_back_to_source,
		   r->disable_back_to_source, r->local_only);
	for (size_t i = 0; rq->headers && i < rq->headers->count; i++)
		buf_printf(&b, "\n%s: %s", rq->headers->items[i].name, rq->headers->items[i].value);
	r->fingerprint = xxh3_of(b.data, b.len);
}

static bool is_bounded(const char *text)
{
	return !text || strlen(text) <= TEXT_MAX;
}

static int check(const struct task_request *rq, struct err *e)
{
	if (!is_bounded(rq->url) || !is_bounded(rq->digest) || !is_bounded(rq->tag) ||
	    !is_bounded(rq->application) || !is_bounded(rq->content_for_id) ||
	    rq->filtered_param_count > PARAMS_MAX)
		return err_set(e, EINVAL, "a request that is too large");
	if (rq->piece_length &&
	    (rq->piece_length < PIECE_LENGTH_LEAST || rq->piece_length > PIECE_LENGTH_MAX))
		return err_set(e, EINVAL, "a piece length of %u bytes", rq->piece_length);
	return 0;
}

int request_new(const struct task_request *rq, struct request **out, struct err *e)
{
	cleanup(request_free_at) struct request *r = mem_new(struct request);
	int n = check(rq, e);

	if (trace_is_on())
		r->trace = trace_here;
	if (n == 0)
		n = make_id(r, rq, e);
	if (n == 0)
		n = set_digest(r, rq, e);
	if (n == 0)
		n = set_url(r, rq, e);
	if (n < 0)
		return n;
	r->tag = mem_strdup(rq->tag);
	r->application = mem_strdup(rq->application);
	r->content_for_id = mem_strdup(rq->content_for_id);
	r->filtered_params = mem_array(rq->filtered_param_count, sizeof(char *));
	for (size_t i = 0; i < rq->filtered_param_count; i++)
		r->filtered_params[r->filtered_param_count++] = mem_strdup(rq->filtered_params[i]);
	r->piece_length = rq->piece_length;
	r->priority = rq->priority;
	r->blob_digest_id = rq->blob_digest_id;
	r->need_back_to_source = rq->need_back_to_source;
	r->disable_back_to_source = rq->disable_back_to_source;
	r->local_only = rq->local_only;
	r->prefetch = rq->prefetch;
	take_fingerprint(r, rq);
	*out = take_ptr(&r);
	return 0;
}

void request_free(struct request *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->filtered_param_count; i++)
		free(r->filtered_params[i]);
	free(r->filtered_params);
	source_unref(r->source);
	free(r->url);
	free(r->origin);
	free(r->digest);
	free(r->tag);
	free(r->application);
	free(r->content_for_id);
	free(r);
}

void request_free_at(struct request **r)
{
	request_free(*r);
	*r = NULL;
}
