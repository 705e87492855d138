/* Files that an earlier process opened, and nodes that it showed: what stands behind them is asked
 * of the source when the kernel first wants it; then the kernel's request goes on. */
#ifndef FS_INHERIT_H
#define FS_INHERIT_H

#include "fs/open.h"

/* A request that begins anew when what it lacks is there. */
struct again {
	void (*call)(fuse_req_t req, const struct again *a);
	fuse_ino_t ino;
	size_t size;
	off_t off;
	struct fuse_file_info fi;
};

/* Restores the hollow node a->ino and calls a->call, or replies with an error. */
void inherit_node(fuse_req_t req, const struct again *a);
/* The handle that stands for all that earlier processes opened of this node; NULL: none yet. It is
 * there as long as the kernel holds one of them. */
struct handle *inherited_handle(struct fs_session *s, uint64_t id);
/* Makes that handle and calls a->call, or replies with an error. */
void inherit_handle(fuse_req_t req, const struct again *a);
/* The kernel releases one of them. */
void inherited_release(struct fs_session *s, uint64_t id, bool passthrough);
/* At the session's end, when no thread is left. */
void inherited_free(struct fs_session *s);

#endif
