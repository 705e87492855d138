/* OPEN and RELEASE: handles of open files, and which of them the kernel reads by itself. An open
 * file has the number handle_number(), with bit 0 set when the kernel reads it. */
#ifndef FS_OPEN_H
#define FS_OPEN_H

#include "fs/state.h"

struct handle {
	struct list link; /* session.handles or session.adopted; opens_lock */
	struct tree_pin pin;
	bool blob_open; /* the source's close() is due */
	bool passthrough;
};

void open_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void release_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* What the kernel will not release any more: at the session's end, when no thread is left. */
void handles_release(struct fs_session *s);

/* Closes and frees one that is in no list. */
void handle_free(struct fs_session *s, struct handle *h);
/* One open the less that the kernel reads by itself. With opens_lock. */
void opens_leave_passthrough(struct fs_session *s, struct ledger_opens *opens);

/* NULL: an earlier process's. */
static inline struct handle *handle_of(const struct fs_session *s, const struct fuse_file_info *fi)
{
	return handle_pointer(s, fi->fh);
}

#endif
