/* A file for each layer; layer_reads.c reads it. */
#include "daemon/diffs.h"

#include "base/lock.h"
#include "base/mem.h"
#include "daemon/layers.h"

#include <errno.h>
#include <string.h>

#define RANK_DIFF 7
#define BY_DIFF	  "sha256" /* uncompressed layers by diff id */
#define BY_TOC	  "toc"	   /* laid out by their own tables, by id */

struct diffs {
	struct layers *layers;
	struct layer_reads *reads;
};

/* What the file system calls a blob: a name that the kernel remembers, for longer than the layer
 * may be here. While it is open the layer is. */
struct diff {
	struct layers *layers;
	unsigned refs; /* atomic */
	char path[8 + DIGEST_HEX_LEN + 1];
	struct lock lock; /* all below */
	unsigned opens;
	struct layer *layer; /* while it is open */
};

static struct diff *diff_of(struct fs_blob *b)
{
	return (struct diff *)b;
}

static struct diff *diff_new(struct layers *layers, const char *path)
{
	struct diff *d = mem_new(struct diff);

	d->layers = layers;
	d->refs = 1;
	snprintf(d->path, sizeof(d->path), "%s", path);
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

/* A reference, or NULL. */
static struct layer *find(struct layers *layers, const char *path)
{
	struct layer *l cleanup(layer_unref_at) = NULL;

	if (strncmp(path, BY_DIFF "/", strlen(BY_DIFF "/")) == 0)
		return layers_find_diff(layers, path + strlen(BY_DIFF "/"));
	if (strncmp(path, BY_TOC "/", strlen(BY_TOC "/")) == 0)
		l = layers_find(layers, path + strlen(BY_TOC "/"));
	return l && layer_info(l)->toc_digest[0] ? take_ptr(&l) : NULL;
}

static void diffs_lookup(void *src, const char *path, struct fs_lookup *ask)
{
	struct fs_entry entry = {.kind = FS_DIR, .lasting = true};
	struct diffs *d = src;
	struct layer *l cleanup(layer_unref_at) = NULL;
	struct err e = {0};

	if (strcmp(path, BY_DIFF) == 0 || strcmp(path, BY_TOC) == 0) {
		ask->done(ask, &entry, NULL);
		return;
	}
	l = find(d->layers, path);
	if (!l) {
		err_set(&e, ENOENT, "%s", path);
		ask->done(ask, NULL, &e);
		return;
	}
	entry = (struct fs_entry){.kind = FS_FILE,
				  .size = layer_file_len(l),
				  .blob = (struct fs_blob *)diff_new(d->layers, path),
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

static void list_one(void *arg, const char *name)
{
	const struct listing *l = arg;

	l->fn(l->arg, name, FS_FILE);
}

static void diffs_list(void *src, const char *path, fs_list_fn fn, void *arg)
{
	struct listing l = {.fn = fn, .arg = arg};
	struct diffs *d = src;

	if (!*path) {
		fn(arg, BY_DIFF, FS_DIR);
		fn(arg, BY_TOC, FS_DIR);
	} else if (strcmp(path, BY_DIFF) == 0) {
		layers_each_diff(d->layers, list_one, &l);
	} else if (strcmp(path, BY_TOC) == 0) {
		layers_each_toc(d->layers, list_one, &l);
	}
}

static bool open_diff(struct diff *d)
{
	lock_guard(&d->lock);
	if (!d->layer) {
		d->layer = find(d->layers, d->path);
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
	err_set(&e, ENOENT, "layer %s is not here any more", d->path);
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

static void diffs_read(void *src, struct fs_blob *b, uint64_t off, uint32_t len,
		       struct fs_read *ask)
{
	const struct erofs_extent x = {.pos = off, .len = len};

	layer_reads_ask(((struct diffs *)src)->reads, layer_of(b), &x, 1, ask);
}

static bool diffs_read_cancel(void *src, struct fs_read *ask)
{
	return layer_reads_cancel(((struct diffs *)src)->reads, ask);
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
	l = find(((struct diffs *)src)->layers, diff_of(b)->path);
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

struct diffs *diffs_new(struct layers *layers, struct layer_reads *reads)
{
	struct diffs *d = mem_new(struct diffs);

	d->layers = layers;
	d->reads = reads;
	return d;
}

void diffs_free(struct diffs *d)
{
	free(d);
}
