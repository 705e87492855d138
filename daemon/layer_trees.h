/* The trees of lazy layers, as struct fs_forest_ops over layers: a directory for each, named by the
 * layer's id (64 hex, fs/layer/info.h). For kernels that cannot show them by themselves
 * (fs/layer/erofs_probe.h). */
#ifndef DAEMON_LAYER_TREES_H
#define DAEMON_LAYER_TREES_H

#include "daemon/layer_reads.h"
#include "fs/forest_source.h"

struct layer_trees;

/* Both are borrowed. */
struct layer_trees *layer_trees_new(struct layers *layers, struct layer_reads *reads);
/* After fs_session_free(). NULL is fine. */
void layer_trees_free(struct layer_trees *t);

/* With the struct layer_trees as src. */
extern const struct fs_forest_ops layer_trees_ops;

#endif
