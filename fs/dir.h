/* OPENDIR, READDIR, RELEASEDIR. */
#ifndef FS_DIR_H
#define FS_DIR_H

#include "fs/state.h"

void opendir_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void readdir_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void releasedir_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* What the kernel will not release any more: at the session's end, when no thread is left. */
void dirs_release(struct fs_session *s);

#endif
