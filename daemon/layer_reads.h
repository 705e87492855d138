/*
 * Reads of lazy layers' bytes for the file system: what is here is answered at once; the rest holds
 * one of the workers while it waits (docs/adr/0009). For the tree of uncompressed layers and for
 * the trees of layers.
 */
#ifndef DAEMON_LAYER_READS_H
#define DAEMON_LAYER_READS_H

#include "daemon/starts.h"
#include "fs/layer/erofs_tree.h"
#include "fs/source.h"

#define LAYER_HOLE_MAX (1u << 20) /* bytes of one hole in a read */

struct layer_reads;

struct layer_reads *layer_reads_new(struct starts *starts);
/* After the file systems' sessions, before starts_free() and layers_free(). Waits for reads under
 * way. NULL is fine. */
void layer_reads_free(struct layer_reads *lr);

/* Answers with these extents, in order; x is valid during the call only. The caller sees to it that
 * the layer stays until the answer. EBADMSG: they are not inside the layer. */
void layer_reads_ask(struct layer_reads *lr, struct layer *l, const struct erofs_extent *x,
		     unsigned count, struct fs_read *ask);
/* As fs_source_ops.read_cancel(). */
bool layer_reads_cancel(struct layer_reads *lr, struct fs_read *ask);

#endif
