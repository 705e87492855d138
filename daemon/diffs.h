/*
 * The tree of uncompressed layers: sha256/<diff id>, as struct fs_source_ops over layers. It has a
 * FUSE session of its own, because one that negotiated passthrough cannot stand below EROFS. What a
 * file is follows from its name and the index on disk alone, so that another process could go on
 * with the session's descriptor.
 */
#ifndef DAEMON_DIFFS_H
#define DAEMON_DIFFS_H

#include "daemon/layer_reads.h"
#include "fs/source.h"

struct diffs;

/* Both are borrowed. */
struct diffs *diffs_new(struct layers *layers, struct layer_reads *reads);
/* After fs_session_free(). NULL is fine. */
void diffs_free(struct diffs *d);

/* With the struct diffs as src. */
extern const struct fs_source_ops diffs_ops;

#endif
