/* Reads of uncompressed layers: what is there is answered at once, the rest by a worker. */
#include "daemon/diffs.h"

#include "base/lock.h"
#include "base/mem.h"
#include "base/pool.h"
#include "daemon/pending.h"

#include <errno.h>
#include <string.h>

#define RANK_DIFF 7
#define WORKERS	  32
#define QUEUE_MAX 4096
#define ROOT	  "sha256"

struct diffs {
	struct layers *layers;
	struct starts *starts;
	struct pool *pool;
	struct pendings pendings;
};

/* What the file system calls a blob: a name that the kernel remembers, for longer than the layer
 * may be here. While it is open the layer is. */
struct diff {
	struct layers *layers;
	unsigned refs; /* atomic */
	char id[DIGEST_HEX_LEN + 1];
	struct lock lock; /* all below */
	unsigned opens;
	struct layer *layer; /* while it is open */
};

struct reading {
	struct pending pending;
	struct layer *layer;
	uint64_t off;
	uint32_t len;
};

static struct diff *diff_of(struct fs_blob *b)
{
	return (struct diff *)b;
}

static struct diff *diff_new(struct layers *layers, const char *id)
{
	struct diff *d = mem_new(struct diff);

	d->layers = layers;
	d->refs = 1;
	snprintf(d->id, sizeof(d->id), "%s", id);
	lock_init(&d->lock, RANK_DIFF);
	return d;
}

static void diffs_ref(void *src, struct fs_blob *b)
{
	(void)src;
	__atomic_add_fetch(&diff_of(b)->refs, 1, __ATOMIC_RELAXED);
}

static void diffs_unref(void *src, struct fs_blob *b)
{
	struct diff *d = diff_of(b);

	(void)src;
	if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	lock_release(&d->lock);
	free(d);
}

static void diffs_lookup(void *src, const char *path, struct fs_lookup *ask)
{
	struct fs_entry entry = {.kind = FS_DIR, .lasting = true};
	struct diffs *d = src;
	struct layer *l cleanup(layer_unref_at) = NULL;
	struct err e = {0};

	if (strcmp(path, ROOT) == 0) {
		ask->done(ask, &entry, NULL);
		return;
	}
	l = strncmp(path, ROOT "/", strlen(ROOT "/")) == 0
		    ? layers_find_diff(d->layers, path + strlen(ROOT "/"))
		    : NULL;
	if (!l) {
		err_set(&e, ENOENT, "%s", path);
		ask->done(ask, NULL, &e);
		return;
	}
	entry = (struct fs_entry){
		.kind = FS_FILE,
		.size = layer_file_len(l),
		.blob = (struct fs_blob *)diff_new(d->layers, layer_info(l)->diff_id),
		.lasting = true};
	ask->done(ask, &entry, NULL);
}

static bool diffs_lookup_cancel(void *src, struct fs_lookup *ask)
{
	(void)src;
	(void)ask;
	return false; /* every one is answered at once */
}

struct listing {
	fs_list_fn fn;
	void *arg;
};

static void list_one(void *arg, const char *diff_id)
{
	const struct listing *l = arg;

	l->fn(l->arg, diff_id, FS_FILE);
}

static void diffs_list(void *src, const char *path, fs_list_fn fn, void *arg)
{
	struct listing l = {.fn = fn, .arg = arg};
	struct diffs *d = src;

	if (!*path)
		fn(arg, ROOT, FS_DIR);
	else if (strcmp(path, ROOT) == 0)
		layers_each_diff(d->layers, list_one, &l);
}

static bool open_diff(struct diff *d)
{
	lock_guard(&d->lock);
	if (!d->layer) {
		d->layer = layers_find_diff(d->layers, d->id);
		if (!d->layer)
			return false;
		layer_opened(d->layer);
	}
	d->opens++;
	return true;
}

/* While it is open. */
static struct layer *layer_of(struct fs_blob *b)
{
	struct diff *d = diff_of(b);

	lock_guard(&d->lock);
	return d->layer;
}

static void diffs_open(void *src, struct fs_blob *b, struct fs_open *ask)
{
	struct diff *d = diff_of(b);
	struct err e = {0};

	(void)src;
	if (open_diff(d)) {
		ask->done(ask, NULL);
		return;
	}
	err_set(&e, ENOENT, "layer with diff id sha256:%s is not here any more", d->id);
	ask->done(ask, &e);
}

static bool diffs_open_cancel(void *src, struct fs_open *ask)
{
	(void)src;
	(void)ask;
	return false;
}

static void diffs_close(void *src, struct fs_blob *b)
{
	struct diff *d = diff_of(b);
	struct layer *l = NULL;

	(void)src;
	lock_take(&d->lock);
	if (--d->opens == 0)
		l = take_ptr(&d->layer);
	lock_drop(&d->lock);
	if (!l)
		return;
	layer_closed(l);
	layer_unref(l);
}

/* ---- read */

static void reading_free(struct pending *p)
{
	struct reading *r = container_of(p, struct reading, pending);

	layer_unref(r->layer);
	free(r);
}

static void answer(struct fs_read *ask, const struct layer *l, uint64_t off, uint32_t len)
{
	const struct fs_extent x = {.fd = layer_fd(l), .off = off, .len = len};

	ask->done(ask, &x, 1, NULL);
}

static void run(void *arg)
{
	struct reading *r = arg;
	struct err e = {0};
	int result = layer_fill(r->layer, r->off, r->len, true, &e);
	struct fs_read *ask = pending_answer(&r->pending);

	if (ask && result == 0)
		answer(ask, r->layer, r->off, r->len);
	else if (ask)
		ask->done(ask, NULL, 0, &e);
	pending_unref(&r->pending);
}

static void diffs_read(void *src, struct fs_blob *b, uint64_t off, uint32_t len,
		       struct fs_read *ask)
{
	struct diffs *d = src;
	struct layer *l = layer_of(b);
	struct reading *r;
	struct err e = {0};

	starts_note(d->starts, l, off, len);
	layer_read_now(l);
	if (layer_has(l, off, len)) {
		answer(ask, l, off, len);
		return;
	}
	r = mem_new(struct reading);
	r->layer = l;
	r->off = off;
	r->len = len;
	layer_ref(l);
	pending_begin(&r->pending, &d->pendings, ask, &ask->private_, reading_free);
	if (pool_run(d->pool, run, r))
		return;
	err_set(&e, EBUSY, "too many reads wait");
	if (pending_answer(&r->pending))
		ask->done(ask, NULL, 0, &e);
	pending_unref(&r->pending);
}

static bool diffs_read_cancel(void *src, struct fs_read *ask)
{
	struct diffs *d = src;
	struct pending *p = pending_take_back(&d->pendings, &ask->private_);

	if (!p)
		return false;
	/* The worker goes on: what it inflates is kept. */
	pending_unref(p);
	return true;
}

/* ---- the rest */

static int diffs_complete_fd(void *src, struct fs_blob *b)
{
	(void)src;
	(void)b;
	return -1; /* the session has no passthrough */
}

static int diffs_attr(void *src, struct fs_blob *b, const char *name, char *text, size_t size)
{
	struct layer *l cleanup(layer_unref_at) = NULL;

	if (strcmp(name, "digest") != 0)
		return -1;
	l = layers_find_diff(((struct diffs *)src)->layers, diff_of(b)->id);
	return l ? snprintf(text, size, "sha256:%s", layer_info(l)->digest) : -1;
}

const struct fs_source_ops diffs_ops = {
	.lookup = diffs_lookup,
	.lookup_cancel = diffs_lookup_cancel,
	.list = diffs_list,
	.open = diffs_open,
	.open_cancel = diffs_open_cancel,
	.close = diffs_close,
	.read = diffs_read,
	.read_cancel = diffs_read_cancel,
	.complete_fd = diffs_complete_fd,
	.ref = diffs_ref,
	.unref = diffs_unref,
	.attr = diffs_attr,
};

struct diffs *diffs_new(struct layers *layers, struct starts *starts)
{
	struct diffs *d = mem_new(struct diffs);

	d->layers = layers;
	d->starts = starts;
	pendings_init(&d->pendings);
	d->pool = pool_new("diffs", WORKERS, QUEUE_MAX);
	return d;
}

void diffs_free(struct diffs *d)
{
	if (!d)
		return;
	pendings_release(&d->pendings);
	pool_free(d->pool);
	free(d);
}
