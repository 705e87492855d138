/* READ: asked of the source, answered from its descriptor. */
#ifndef FS_READ_H
#define FS_READ_H

#include "fs/state.h"

void read_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);

#endif
