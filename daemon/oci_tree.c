/* Images are kept by their path, the least recently used go first. */
#include "daemon/oci_tree.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/net.h"
#include "daemon/blob_lookup.h"
#include "daemon/image.h"
#include "daemon/image_path.h"
#include "daemon/mount_path.h"
#include "daemon/reach.h"
#include "daemon/registry_base.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define FRESH_MS   60000
#define PLACES_MAX 4096
#define BYTES_MAX  (16u << 20)

#define LAYER_NAME_SIZE 96

/* What is known of a path: an image, or that there is none. */
struct place {
	struct list link; /* in recent */
	char *path;
	struct image *image; /* NULL: a repository's name */
	int64_t asked_ms;
};

struct oci_tree {
	struct lock lock;
	/* under lock */
	struct map *places; /* path -> struct place */
	struct list recent; /* last used first */
	size_t bytes;
};

static size_t place_bytes(const struct place *p)
{
	return sizeof(*p) + 2 * strlen(p->path) + (p->image ? image_bytes(p->image) : 0);
}

static void place_free(struct place *p)
{
	image_unref(p->image);
	free(p->path);
	free(p);
}

struct oci_tree *oci_tree_new(struct blobs *b)
{
	struct oci_tree *t = mem_new(struct oci_tree);

	(void)b;
	lock_init(&t->lock, RANK_BLOBS);
	t->places = map_new();
	list_init(&t->recent);
	return t;
}

void oci_tree_free(struct oci_tree *t)
{
	list_each_safe (it, &t->recent)
		place_free(list_entry(it, struct place, link));
	map_free(t->places);
	lock_release(&t->lock);
	free(t);
}

static bool is_digest(const char *reference)
{
	const char *hex;

	return digest_is_sha256(reference, &hex);
}

/* True if the path is known; *image_out is a reference or NULL. any_age: also what a tag named more
 * than a minute ago. */
static bool find(struct oci_tree *t, const char *path, bool any_age, struct image **image_out)
{
	struct place *p;

	*image_out = NULL;
	lock_guard(&t->lock);
	p = map_get(t->places, path);
	if (!p || (!any_age && clock_ms() - p->asked_ms > FRESH_MS))
		return false;
	list_remove(&p->link);
	list_push_front(&t->recent, &p->link);
	if (p->image)
		*image_out = image_ref(p->image);
	return true;
}

/* Under lock. */
static void drop(struct oci_tree *t, struct place *p)
{
	map_remove(t->places, p->path);
	list_remove(&p->link);
	t->bytes -= place_bytes(p);
	place_free(p);
}

/* image NULL: there is none. */
static void remember(struct oci_tree *t, const char *path, struct image *image)
{
	struct place *p = mem_new(struct place), *old;

	p->path = mem_strdup(path);
	p->image = image ? image_ref(image) : NULL;
	p->asked_ms = clock_ms();
	lock_guard(&t->lock);
	old = map_get(t->places, path);
	if (old)
		drop(t, old);
	map_put(t->places, path, p);
	list_push_front(&t->recent, &p->link);
	t->bytes += place_bytes(p);
	while (t->bytes > BYTES_MAX || map_count(t->places) > PLACES_MAX) {
		struct place *oldest = list_entry(t->recent.prev, struct place, link);

		if (oldest == p)
			break;
		drop(t, oldest); /* NOLINT(clang-analyzer-unix.Malloc): each is another one */
	}
}

/* ---- what is in an image */

static void answer_data(struct blob_lookup *l, const struct image *i, const char *data, size_t len,
			bool lasting)
{
	const struct fs_entry entry = {.kind = FS_FILE,
				       .size = len,
				       .mtime_ms = i->made_wall_ms,
				       .data = data,
				       .lasting = lasting};

	blob_lookup_answer(l, &entry);
}

static void answer_absent(struct blob_lookup *l)
{
	struct err e = {0};

	err_set(&e, ENOENT, "%s", l->path);
	blob_lookup_answer_error(l, &e);
}

static void layer_name(const struct image *i, size_t index, char name[LAYER_NAME_SIZE])
{
	snprintf(name, LAYER_NAME_SIZE, "%02zu-%s", index, i->parsed.items[index].hex);
}

static void answer_layer(struct blob_lookup *l, const struct image_path *p, const struct image *i)
{
	struct buf target = BUF_INIT(1024);
	struct fs_entry entry = {
		.kind = FS_LINK, .mtime_ms = i->made_wall_ms, .lasting = is_digest(p->reference)};

	for (size_t index = 0; index < i->parsed.count && !target.len; index++) {
		char name[LAYER_NAME_SIZE];

		layer_name(i, index, name);
		if (strcmp(name, p->leaf) != 0)
			continue;
		for (unsigned up = 1; up < p->depth; up++)
			buf_puts(&target, "../");
		buf_printf(&target, "sha256/%s", i->parsed.items[index].hex);
	}
	entry.link = target.data;
	if (target.len)
		blob_lookup_answer(l, &entry);
	else
		answer_absent(l);
	buf_release(&target);
}

static void answer_from(struct blob_lookup *l, const struct image_path *p, const struct image *i)
{
	bool lasting = is_digest(p->reference);
	const struct fs_entry dir = {.kind = FS_DIR, .lasting = lasting};
	char digest[8 + DIGEST_HEX_LEN];

	if (p->kind == IMAGE_PATH_NAME || (p->kind == IMAGE_PATH_LAYERS && i->manifest)) {
		blob_lookup_answer(l, &dir);
	} else if (p->kind == IMAGE_PATH_INDEX && i->index) {
		answer_data(l, i, i->index, i->index_len, lasting);
	} else if (p->kind == IMAGE_PATH_MANIFEST && i->manifest) {
		answer_data(l, i, i->manifest, i->manifest_len, lasting);
	} else if (p->kind == IMAGE_PATH_CONFIG && i->manifest) {
		snprintf(digest, sizeof(digest), "sha256:%s", i->parsed.config.hex);
		blob_lookup_open(l, NULL, digest, lasting, false, NULL);
	} else if (p->kind == IMAGE_PATH_LAYER) {
		answer_layer(l, p, i);
	} else {
		answer_absent(l);
	}
}

/* ---- asking the registry */

static int fetch(struct blob_lookup *l, const struct image_path *p, struct image **out,
		 struct err *e)
{
	struct blobs *b = l->b;
	cleanup(free_at) char *base = NULL;
	cleanup(free_at) char *repository = NULL;
	struct image_request rq = {.reference = p->reference,
				   .deadline_ms = clock_ms() + b->timeout_ms,
				   .cancelled = &l->cancelled};
	int r = registry_base(p->registry, &b->plain_http, &base, e);

	if (r < 0)
		return r;
	/* As everybody calls them: docker.io/debian. */
	repository = mem_printf("%s%s",
				strcmp(p->registry, "docker.io") == 0 && !strchr(p->repository, '/')
					? "library/"
					: "",
				p->repository);
	rq.base = base;
	rq.repository = repository;
	return image_fetch(b->origin, b->tasks, &rq, out, e);
}

static bool has_images_below(struct oci_tree *t, const char *path)
{
	const char *name;

	lock_guard(&t->lock);
	list_each (it, &t->recent) {
		const struct place *p = list_entry(it, struct place, link);

		if (p->image && mount_path_below(path, p->path, &name) > 0)
			return true;
	}
	return false;
}

/* The registry says that there is no image at p, or not to us. */
static void answer_refused(struct blob_lookup *l, const struct image_path *p, const struct err *e)
{
	if (p->kind != IMAGE_PATH_NAME || !p->may_be_name) {
		blob_lookup_answer_error(l, e);
		return;
	}
	remember(l->b->oci, p->image, NULL);
	blob_lookup_answer_dir(l);
}

/* The registry cannot be asked: what it said earlier stands. */
static void answer_from_memory(struct blob_lookup *l, const struct image_path *p,
			       const struct err *e)
{
	struct image *old = NULL;

	if (find(l->b->oci, p->image, true, &old) && old) {
		answer_from(l, p, old);
		image_unref(old);
	} else if (p->kind == IMAGE_PATH_NAME && has_images_below(l->b->oci, p->image)) {
		blob_lookup_answer_dir(l);
	} else {
		blob_lookup_answer_error(l, e);
	}
}

/* On a worker. */
static void ask_registry(struct blob_lookup *l)
{
	cleanup(image_path_release) struct image_path p = {0};
	struct image *i = NULL;
	struct err e = {0};
	int r = image_path_parse(l->path, &p, &e);

	if (r == 0)
		r = fetch(l, &p, &i, &e);
	if (r < 0 && !p.image) {
		blob_lookup_answer_error(l, &e);
	} else if (r == -ENOENT || r == -EACCES) {
		answer_refused(l, &p, &e);
	} else if (r < 0) {
		answer_from_memory(l, &p, &e);
	} else {
		assert(i);
		remember(l->b->oci, p.image, i);
		answer_from(l, &p, i);
		image_unref(i);
	}
}

static int check_registry(struct blobs *b, const char *registry, struct err *e)
{
	char host[256];
	uint16_t port;

	if (!net_split(registry, host, sizeof(host), 443, &port))
		return err_set(e, ENOENT, "%s is no registry", registry);
	return reach_check(&b->allow_hosts, host, port, e);
}

void oci_tree_lookup(struct blobs *b, const char *path, struct fs_lookup *ask)
{
	cleanup(image_path_release) struct image_path p = {0};
	struct blob_lookup *l = blob_lookup_new(b, path, ask);
	struct image *i = NULL;
	struct err e = {0};

	if (image_path_parse(path, &p, &e) < 0 || check_registry(b, p.registry, &e) < 0) {
		blob_lookup_answer_error(l, &e);
	} else if (p.image && !find(b->oci, p.image, is_digest(p.reference), &i)) {
		blob_lookup_work(l, ask_registry);
	} else if (i) {
		answer_from(l, &p, i);
		image_unref(i);
	} else if (p.kind <= IMAGE_PATH_NAME) {
		blob_lookup_answer_dir(l);
	} else {
		answer_absent(l);
	}
}

/* ---- what is known */

static void list_image(const struct image_path *p, const struct image *i, fs_list_fn fn, void *arg)
{
	if (p->kind == IMAGE_PATH_NAME) {
		if (i->index)
			fn(arg, "index.json", FS_FILE);
		if (!i->manifest)
			return;
		fn(arg, "manifest.json", FS_FILE);
		fn(arg, "config.json", FS_FILE);
		fn(arg, "layers", FS_DIR);
	} else if (p->kind == IMAGE_PATH_LAYERS) {
		for (size_t index = 0; index < i->parsed.count; index++) {
			char name[LAYER_NAME_SIZE];

			layer_name(i, index, name);
			fn(arg, name, FS_LINK);
		}
	}
}

/* Names on the way to known images. */
static void list_names(struct oci_tree *t, const char *path, fs_list_fn fn, void *arg)
{
	struct map *seen = map_new();
	cleanup(buf_release) struct buf names = BUF_INIT(0);
	const char *at, *end;

	lock_take(&t->lock);
	list_each (it, &t->recent) {
		const struct place *p = list_entry(it, struct place, link);
		size_t len = p->image ? mount_path_below(path, p->path, &at) : 0;

		if (len > 0) {
			buf_append(&names, at, len);
			buf_append(&names, "", 1);
		}
	}
	lock_drop(&t->lock);
	end = names.data + names.len;
	for (at = names.data; at && at < end; at += strlen(at) + 1)
		if (!map_put(seen, at, t))
			fn(arg, at, FS_DIR);
	map_free(seen);
}

void oci_tree_list(struct blobs *b, const char *path, fs_list_fn fn, void *arg)
{
	cleanup(image_path_release) struct image_path p = {0};
	struct image *i = NULL;

	if (image_path_parse(path, &p, NULL) == 0 && p.image && find(b->oci, p.image, true, &i) &&
	    i) {
		list_image(&p, i, fn, arg);
		image_unref(i);
		return;
	}
	list_names(b->oci, path, fn, arg);
}
