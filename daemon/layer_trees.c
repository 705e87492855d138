/* While the kernel holds a node of a tree the layer is open, and its image too: layers that are in
 * use are not removed (layer.h). */
#include "daemon/layer_trees.h"

#include "base/mem.h"
#include "daemon/layers.h"

#include <errno.h>
#include <fcntl.h>

struct layer_trees {
	struct layers *layers;
	struct layer_reads *reads;
};

static void trees_close(void *src, void *layer)
{
	(void)src;
	layer_closed(layer);
	layer_unref(layer);
}

static int gone(const char *id, struct err *e)
{
	return err_set(e, ENOENT, "layer sha256:%s is not here", id);
}

/* Whether it is in the table still: who removes a layer takes it out first, and looks then whether
 * it is open. */
static bool stays(struct layers *layers, const struct layer *l)
{
	struct layer *now cleanup(layer_unref_at) = layers_find(layers, layer_info(l)->id);

	return now == l;
}

static int trees_open(void *src, const char *name, struct fs_forest_layer *out, struct err *e)
{
	struct layers *layers = ((struct layer_trees *)src)->layers;
	struct layer *l cleanup(layer_unref_at) = layers_find(layers, name);
	int fd cleanup(close_at) = -1;
	int r = 0;

	if (!l)
		return gone(name, e);
	if (layer_is_broken(l))
		return err_set(e, EBADMSG, "layer sha256:%s is broken", name);
	layer_opened(l);
	fd = open(layer_erofs_path(l), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		r = err_set(e, errno, "open %s", layer_erofs_path(l));
	else if (!stays(layers, l))
		r = gone(name, e);
	if (r < 0) {
		layer_closed(l);
		return r;
	}
	*out = (struct fs_forest_layer){.version = layer_info(l)->tree_sum,
					.image_fd = take_fd(&fd)};
	out->layer = take_ptr(&l);
	return 0;
}

struct listing {
	fs_list_fn fn;
	void *arg;
};

static void list_one(void *arg, const char *id)
{
	const struct listing *l = arg;

	l->fn(l->arg, id, FS_DIR);
}

static void trees_list(void *src, fs_list_fn fn, void *arg)
{
	struct listing l = {.fn = fn, .arg = arg};

	layers_each_id(((struct layer_trees *)src)->layers, list_one, &l);
}

static void trees_read(void *src, void *layer, const struct erofs_extent *x, unsigned count,
		       struct fs_read *ask)
{
	layer_reads_ask(((struct layer_trees *)src)->reads, layer, x, count, ask);
}

static bool trees_read_cancel(void *src, struct fs_read *ask)
{
	return layer_reads_cancel(((struct layer_trees *)src)->reads, ask);
}

const struct fs_forest_ops layer_trees_ops = {
	.open = trees_open,
	.close = trees_close,
	.list = trees_list,
	.read = trees_read,
	.read_cancel = trees_read_cancel,
};

struct layer_trees *layer_trees_new(struct layers *layers, struct layer_reads *reads)
{
	struct layer_trees *t = mem_new(struct layer_trees);

	t->layers = layers;
	t->reads = reads;
	return t;
}

void layer_trees_free(struct layer_trees *t)
{
	free(t);
}
