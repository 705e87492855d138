/* OPEN and RELEASE: handles of open files, and which of them the kernel reads by itself. */
#ifndef FS_OPEN_H
#define FS_OPEN_H

#include "fs/state.h"

struct handle {
	struct list link; /* session.handles; opens_lock */
	struct tree_pin pin;
	bool blob_open; /* the source's close() is due */
	bool passthrough;
};

void open_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void release_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* What the kernel will not release any more: at the session's end, when no thread is left. */
void handles_release(struct fs_session *s);

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh; /* NOLINT(performance-no-int-to-ptr) */
}

#endif
