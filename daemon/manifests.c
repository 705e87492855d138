/* The manifest cache: a map and a list in the order of last use, under one lock. */
#include "daemon/manifests.h"

#include "base/digest.h"
#include "base/json.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "daemon/task.h"

#include <string.h>

#define RANK_MANIFESTS 7
#define BLOBS_MAX      1000

struct manifest {
	struct list link;
	char *key, *headers, *body;
	size_t len;
};

struct manifests {
	struct lock lock;
	/* under lock */
	struct map *by_key;
	struct list used; /* of manifest.link, last used first */
	size_t bytes, bytes_max;
};

static void manifest_free(struct manifest *f)
{
	free(f->key);
	free(f->headers);
	free(f->body);
	free(f);
}

/* What it costs, near enough. */
static size_t manifest_bytes(const struct manifest *f)
{
	return sizeof(*f) + 2 * strlen(f->key) + strlen(f->headers) + f->len + 64;
}

struct manifests *manifests_new(size_t bytes_max)
{
	struct manifests *m = mem_new(struct manifests);

	lock_init(&m->lock, RANK_MANIFESTS);
	m->by_key = map_new();
	list_init(&m->used);
	m->bytes_max = bytes_max;
	return m;
}

void manifests_free(struct manifests *m)
{
	if (!m)
		return;
	list_each_safe (it, &m->used)
		manifest_free(list_entry(it, struct manifest, link));
	map_free(m->by_key);
	lock_release(&m->lock);
	free(m);
}

char *manifests_key(const struct errand *x)
{
	const char *authorization = errand_header(x, "Authorization");
	char hash[DIGEST_HEX_LEN + 1] = "";

	if (authorization)
		sha256_hex(authorization, strlen(authorization), hash);
	return mem_printf("%s %s %s %s", x->hex, hash, x->registry, x->repository);
}

/* Under lock. */
static void drop(struct manifests *m, struct manifest *f)
{
	list_remove(&f->link);
	map_remove(m->by_key, f->key);
	m->bytes -= manifest_bytes(f);
	manifest_free(f);
}

void manifests_put(struct manifests *m, const char *key, const char *hex, const char *headers,
		   const char *body, size_t len)
{
	char found[DIGEST_HEX_LEN + 1];
	struct manifest *f;

	sha256_hex(body, len, found);
	if (strcmp(found, hex) != 0)
		return;
	f = mem_new(struct manifest);
	f->key = mem_strdup(key);
	f->headers = mem_strdup(headers);
	f->body = mem_dup(body, len);
	f->len = len;
	lock_guard(&m->lock);
	if (map_get(m->by_key, f->key) || manifest_bytes(f) > m->bytes_max) {
		manifest_free(f);
		return;
	}
	map_put(m->by_key, f->key, f);
	list_push_front(&m->used, &f->link);
	m->bytes += manifest_bytes(f);
	while (m->bytes > m->bytes_max)
		drop(m, list_entry(m->used.prev, struct manifest, link));
}

bool manifests_get(struct manifests *m, const char *key, struct buf *headers, struct buf *body)
{
	struct manifest *f;

	lock_guard(&m->lock);
	f = map_get(m->by_key, key);
	if (!f)
		return false;
	list_remove(&f->link);
	list_push_front(&m->used, &f->link);
	buf_puts(headers, f->headers);
	buf_append(body, f->body, f->len);
	return true;
}

/* ---- what a manifest names */

static void note_one(struct tasks *ts, const json_t *descriptor, const char *registry,
		     const char *repository, const char *authorization)
{
	const char *digest = json_str(descriptor, "digest"), *hex;

	/* A foreign layer ("urls") is not in this repository. */
	if (digest && digest_is_sha256(digest, &hex) && !json_object_get(descriptor, "urls"))
		task_note_source(ts, hex, registry, repository, authorization);
}

void manifests_note_blobs(struct tasks *ts, const char *registry, const char *repository,
			  const char *authorization, const char *body, size_t len)
{
	cleanup(json_decref_at) json_t *doc = NULL;
	const json_t *layers, *layer;
	struct err e;
	size_t i;

	if (json_parse(body, len, MANIFEST_LEN_MAX, &doc, &e) < 0)
		return;
	note_one(ts, json_object_get(doc, "config"), registry, repository, authorization);
	layers = json_object_get(doc, "layers");
	for (i = 0; i < BLOBS_MAX && (layer = json_array_get(layers, i)) != NULL; i++)
		note_one(ts, layer, registry, repository, authorization);
}
