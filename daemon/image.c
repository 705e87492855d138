#include "daemon/image.h"

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/manifests.h"
#include "daemon/origin.h"

#include <errno.h>
#include <string.h>

struct body {
	char *text;
	size_t len;
};

static void body_release(struct body *b)
{
	free(b->text);
}

static int status_error(int status, const char *url, struct err *e)
{
	int code = status == 404		    ? ENOENT
		   : status == 401 || status == 403 ? EACCES
		   : status >= 500 || status == 429 ? EHOSTUNREACH
						    : EPROTO;

	return err_set(e, code, "%s: HTTP %d", url, status);
}

/* One manifest, whose digest fits if the reference is one. */
static int fetch_one(struct origin *o, const struct image_request *rq, const char *reference,
		     struct body *out, struct err *e)
{
	cleanup(free_at) char *url =
		mem_printf("%s/v2/%s/manifests/%s", rq->base, rq->repository, reference);
	struct config_pairs headers = {.count = 1};
	char name[] = "Accept", value[] = MANIFEST_ACCEPT;
	__typeof__(*headers.items) accept = {.name = name, .value = value};
	const struct origin_request orq = {.url = url,
					   .headers = &headers,
					   .deadline_ms = rq->deadline_ms,
					   .cancelled = rq->cancelled};
	char found[DIGEST_HEX_LEN + 1];
	const char *want;
	int status, r;

	headers.items = &accept;
	r = origin_fetch(o, &orq, "GET", MANIFEST_BYTES_MAX, &status, NULL, &out->text, &out->len,
			 e);
	if (r < 0)
		return r;
	if (status != 200)
		return status_error(status, url, e);
	sha256_hex(out->text, out->len, found);
	if (digest_is_sha256(reference, &want) && strcmp(want, found) != 0)
		return err_set(e, EPROTO, "%s: the manifest has another digest", url);
	return 0;
}

/* The manifest of an index for this machine; none is no error. */
static int fetch_picked(struct origin *o, const struct image_request *rq,
			const struct manifest *index, struct image *i, struct err *e)
{
	const struct manifest_item *item = manifest_pick(index);
	cleanup(body_release) struct body body = {0};
	char reference[8 + DIGEST_HEX_LEN];
	int r;

	if (!item)
		return 0;
	snprintf(reference, sizeof(reference), "sha256:%s", item->hex);
	r = fetch_one(o, rq, reference, &body, e);
	if (r == 0)
		r = manifest_parse(body.text, body.len, &i->parsed, e);
	if (r == 0 && i->parsed.is_index)
		r = err_set(e, EPROTO, "an index within an index");
	if (r < 0)
		return r;
	i->manifest_len = body.len;
	i->manifest = take_ptr(&body.text);
	return 0;
}

static int fetch_all(struct origin *o, const struct image_request *rq, struct image *i,
		     struct err *e)
{
	cleanup(manifest_release) struct manifest first = {0};
	cleanup(body_release) struct body body = {0};
	int r = fetch_one(o, rq, rq->reference, &body, e);

	if (r == 0)
		r = manifest_parse(body.text, body.len, &first, e);
	if (r < 0)
		return r;
	if (first.is_index) {
		r = fetch_picked(o, rq, &first, i, e);
		i->index_len = body.len;
		i->index = take_ptr(&body.text);
		return r;
	}
	i->parsed = first;
	first = (struct manifest){0};
	i->manifest_len = body.len;
	i->manifest = take_ptr(&body.text);
	return 0;
}

int image_fetch(struct origin *o, struct tasks *ts, const struct image_request *rq,
		struct image **out, struct err *e)
{
	struct image *i = mem_new(struct image);
	int r = fetch_all(o, rq, i, e);

	i->refs = 1;
	i->made_wall_ms = clock_wall_ms();
	if (r < 0) {
		image_unref(i);
		return r;
	}
	if (i->manifest)
		manifests_note_blobs(ts, rq->base, rq->repository, NULL, i->manifest,
				     i->manifest_len);
	*out = i;
	return 0;
}

struct image *image_ref(struct image *i)
{
	__atomic_add_fetch(&i->refs, 1, __ATOMIC_RELAXED);
	return i;
}

void image_unref(struct image *i)
{
	if (!i || __atomic_sub_fetch(&i->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	free(i->index);
	free(i->manifest);
	manifest_release(&i->parsed);
	free(i);
}

size_t image_bytes(const struct image *i)
{
	return sizeof(*i) + i->index_len + i->manifest_len +
	       i->parsed.count * sizeof(*i->parsed.items);
}
