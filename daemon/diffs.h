/*
 * The tree of uncompressed layers: sha256/<diff id>, as struct fs_source_ops over layers. It has a
 * FUSE session of its own, because one that negotiated passthrough cannot stand below EROFS. What a
 * file is follows from its name and the index on disk alone, so that another process could go on
 * with the session's descriptor. A read of what is not inflated yet holds one of the workers while
 * it waits (docs/adr/0009).
 */
#ifndef DAEMON_DIFFS_H
#define DAEMON_DIFFS_H

#include "daemon/starts.h"
#include "fs/source.h"

struct diffs;

struct diffs *diffs_new(struct layers *layers, struct starts *starts);
/* After fs_session_free(), before starts_free() and layers_free(). Waits for reads under way. NULL
 * is fine. */
void diffs_free(struct diffs *d);

/* With the struct diffs as src. */
extern const struct fs_source_ops diffs_ops;

#endif
