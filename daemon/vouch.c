/* Manifests and configurations, read for the sake of tables of contents. Must not know layers. */
#include "daemon/vouch.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/manifest.h"
#include "base/map.h"
#include "base/mem.h"
#include "daemon/image.h"
#include "daemon/registry_base.h"
#include "daemon/task_wait.h"

#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#define RANK_VOUCH	 8
#define IMAGES_MAX	 64
#define ASK_TIMEOUT_MS	 5000
#define FAILED_FOR_MS	 30000 /* later it is asked again */
#define CONFIG_BYTES_MAX (4u << 20)

struct told {
	struct vouched *items;
	size_t count;
	int64_t until_ms; /* INT64_MAX: a manifest does not change */
};

struct vouch {
	struct vouch_config config; /* constant */
	bool stopping;		    /* atomic */

	struct lock lock; /* all below */
	struct cond changed;
	struct map *told;   /* manifest -> struct told */
	struct map *asking; /* manifests that somebody fetches */
};

/* ---- reading */

/* The digest that an annotation gives, 64 hex, or NULL. */
static const char *annotated(const json_t *layer, const char *key)
{
	const char *text = json_str(json_object_get(layer, "annotations"), key), *hex;

	return text && digest_is_sha256(text, &hex) ? hex : NULL;
}

static bool take_table(const json_t *layer, struct vouched *out)
{
	static const char *const stored[] = {
		"io.github.containers.zstd-chunked.manifest-checksum",
		"io.containers.zstd-chunked.manifest-checksum",
	};
	const char *hex = NULL;

	for (size_t i = 0; i < array_len(stored) && !hex; i++)
		hex = annotated(layer, stored[i]);
	out->of_stored = hex;
	if (!hex)
		hex = annotated(layer, "containerd.io/snapshot/stargz/toc.digest");
	if (hex)
		snprintf(out->toc_digest, sizeof(out->toc_digest), "%s", hex);
	return hex;
}

static int take_layer(const json_t *layer, const json_t *diff_id, struct vouched *out,
		      struct err *e)
{
	const char *digest = json_str(layer, "digest"), *diff = json_string_value(diff_id);
	const char *digest_hex, *diff_hex;

	if (!digest || !diff || !digest_is_sha256(digest, &digest_hex) ||
	    !digest_is_sha256(diff, &diff_hex))
		return err_set(e, EPROTO, "a layer whose digest or diff id is not sha256");
	snprintf(out->digest, sizeof(out->digest), "%s", digest_hex);
	snprintf(out->diff_id, sizeof(out->diff_id), "%s", diff_hex);
	return 0;
}

static bool has_table(const json_t *layers)
{
	struct vouched unused;
	json_t *layer;
	size_t i;

	json_array_foreach(layers, i, layer)
	{
		if (take_table(layer, &unused))
			return true;
	}
	return false;
}

int vouch_parse(const char *manifest, size_t manifest_len, const char *config, size_t config_len,
		struct vouched **out, size_t *count_out, struct err *e)
{
	json_t *m cleanup(json_decref_at) = NULL, *c cleanup(json_decref_at) = NULL;
	const json_t *layers, *diff_ids;
	struct vouched *all cleanup(free_at) = NULL;
	json_t *layer;
	size_t i;
	int r = json_parse(manifest, manifest_len, MANIFEST_BYTES_MAX, &m, e);

	*count_out = 0;
	*out = NULL;
	if (r < 0)
		return err_wrap(e, "manifest");
	layers = json_object_get(m, "layers");
	if (!has_table(layers))
		return 0;
	r = json_parse(config, config_len, CONFIG_BYTES_MAX, &c, e);
	if (r < 0)
		return err_wrap(e, "configuration");
	diff_ids = json_object_get(json_object_get(c, "rootfs"), "diff_ids");
	if (json_array_size(diff_ids) != json_array_size(layers))
		return err_set(e, EPROTO, "%zu layers but %zu diff ids", json_array_size(layers),
			       json_array_size(diff_ids));
	all = mem_array(json_array_size(layers), sizeof(*all));
	json_array_foreach(layers, i, layer)
	{
		if (!take_table(layer, &all[*count_out]))
			continue;
		r = take_layer(layer, json_array_get(diff_ids, i), &all[*count_out], e);
		if (r < 0)
			return r;
		(*count_out)++;
	}
	*out = take_ptr(&all);
	return 0;
}

/* ---- fetching */

static void image_unref_at(struct image **i)
{
	image_unref(*i);
}

/* Where the registry has it. */
struct place {
	char *registry, *repository;
};

static void place_release(struct place *p)
{
	free(p->registry);
	free(p->repository);
}

static bool is_believed(const struct vouch *v, const struct place *p)
{
	const struct config_strings *s = v->config.images;
	char *name cleanup(free_at) = mem_printf("%s/%s", p->registry, p->repository);

	for (size_t i = 0; i < s->count; i++) {
		if (fnmatch(s->items[i], name, FNM_NOESCAPE) == 0)
			return true;
	}
	return false;
}

static int fetch_image(struct vouch *v, const char *manifest, const struct place *p,
		       struct image **out, struct err *e)
{
	char *base cleanup(free_at) = NULL;
	char *reference cleanup(free_at) = mem_printf("sha256:%s", manifest);
	struct image_request rq = {.reference = reference,
				   .deadline_ms = clock_ms() + ASK_TIMEOUT_MS,
				   .cancelled = &v->stopping};
	int r = registry_base(p->registry, v->config.plain_http, &base, e);

	if (r < 0)
		return r;
	rq.base = base;
	rq.repository = p->repository;
	return image_fetch(v->config.origin, v->config.tasks, &rq, out, e);
}

static int read_all(int fd, size_t len, char **out, struct err *e)
{
	char *text cleanup(free_at) = mem_alloc(len + 1);

	if (pread(fd, text, len, 0) != (ssize_t)len)
		return err_set(e, EIO, "read the configuration");
	*out = take_ptr(&text);
	return 0;
}

/* Of the cluster, or the registry. */
static int fetch_config(struct vouch *v, const char *hex, char **out, size_t *len_out,
			struct err *e)
{
	char *digest cleanup(free_at) = mem_printf("sha256:%s", hex);
	const struct task_request rq = {
		.digest = digest, .blob_digest_id = true, .timeout_ms = ASK_TIMEOUT_MS};
	const struct task_wait w = {.deadline_ms = clock_ms() + ASK_TIMEOUT_MS,
				    .stopping = &v->stopping};
	struct task *t;
	int fd, r = task_open_wait(v->config.tasks, &rq, &t, e);

	if (r < 0)
		return r;
	*len_out = task_meta(t)->geometry.content_length;
	r = *len_out > CONFIG_BYTES_MAX
		    ? err_set(e, EMSGSIZE, "a configuration of %zu bytes", *len_out)
		    : task_wait_complete(t, TASK_URGENT, &w, &fd, e);
	if (r == 0)
		r = read_all(fd, *len_out, out, e);
	task_unref(t);
	return r;
}

/* Whether a word of the manifest makes the configuration worth fetching. */
static bool speaks_of_tables(const struct image *i)
{
	return memmem(i->manifest, i->manifest_len, "toc.digest", 10) ||
	       memmem(i->manifest, i->manifest_len, "manifest-checksum", 17);
}

static int fetch(struct vouch *v, const char *manifest, const struct place *p, struct told *out,
		 struct err *e)
{
	struct image *i cleanup(image_unref_at) = NULL;
	char *config cleanup(free_at) = NULL;
	size_t config_len = 0;
	int r = fetch_image(v, manifest, p, &i, e);

	if (r < 0 || !i->manifest || !speaks_of_tables(i))
		return r;
	r = fetch_config(v, i->parsed.config.hex, &config, &config_len, e);
	return r < 0 ? r
		     : vouch_parse(i->manifest, i->manifest_len, config, config_len, &out->items,
				   &out->count, e);
}

/* ---- what was told */

static void told_free(struct told *t)
{
	free(t->items);
	free(t);
}

/* With the lock. */
static void forget_all(struct vouch *v)
{
	const char *manifest;
	size_t at = 0;
	void *t;

	while (map_next(v->told, &at, &manifest, &t))
		told_free(t);
	map_free(v->told);
	v->told = map_new();
}

/* Asks, unless somebody does; with the lock, dropped meanwhile. */
static void ask(struct vouch *v, const char *manifest, const struct place *p)
{
	struct told *t, *old;
	struct err e;

	if (map_get(v->asking, manifest)) {
		cond_wait(&v->changed, &v->lock);
		return;
	}
	map_put(v->asking, manifest, v);
	lock_drop(&v->lock);
	t = mem_new(struct told);
	t->until_ms = INT64_MAX;
	if (fetch(v, manifest, p, t, &e) < 0) {
		t->until_ms = clock_ms() + FAILED_FOR_MS;
		log_info("layers' own tables of contents are not looked for",
			 "manifest=sha256:%s image=%s/%s why=\"%s\"", manifest, p->registry,
			 p->repository, e.text);
	}
	lock_take(&v->lock);
	if (map_count(v->told) >= IMAGES_MAX)
		forget_all(v);
	old = map_put(v->told, manifest, t);
	if (old)
		told_free(old);
	map_remove(v->asking, manifest);
	cond_wake_all(&v->changed);
}

static bool is_stopping(const struct vouch *v)
{
	return __atomic_load_n(&v->stopping, __ATOMIC_RELAXED);
}

int vouch_find(struct vouch *v, const char *manifest, const char *image, const char *digest,
	       struct vouched *out, struct err *e)
{
	struct place p cleanup(place_release) = {0};
	const struct told *t = NULL;

	if (!registry_split_image(image, &p.registry, &p.repository) || !is_believed(v, &p))
		return err_set(e, ENOENT, "tables of contents of %s are not believed", image);
	lock_guard(&v->lock);
	while (!is_stopping(v)) {
		t = map_get(v->told, manifest);
		if (t && clock_ms() < t->until_ms)
			break;
		ask(v, manifest, &p);
	}
	if (is_stopping(v))
		return err_set(e, ECANCELED, "the daemon stops");
	for (size_t i = 0; i < t->count; i++) {
		if (strcmp(t->items[i].digest, digest) == 0) {
			*out = t->items[i];
			return 0;
		}
	}
	return err_set(e, ENOENT, "the image vouches for no table of layer sha256:%s", digest);
}

/* ---- life */

struct vouch *vouch_new(const struct vouch_config *c)
{
	struct vouch *v = mem_new(struct vouch);

	v->config = *c;
	lock_init(&v->lock, RANK_VOUCH);
	cond_init(&v->changed);
	v->told = map_new();
	v->asking = map_new();
	return v;
}

void vouch_stop(struct vouch *v)
{
	if (!v)
		return;
	__atomic_store_n(&v->stopping, true, __ATOMIC_RELAXED);
	lock_guard(&v->lock);
	cond_wake_all(&v->changed);
}

void vouch_free(struct vouch *v)
{
	if (!v)
		return;
	forget_all(v);
	map_free(v->told);
	map_free(v->asking);
	cond_release(&v->changed);
	lock_release(&v->lock);
	free(v);
}
