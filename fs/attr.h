/* GETXATTR and LISTXATTR: user.d7y.* of blobs. */
#ifndef FS_ATTR_H
#define FS_ATTR_H

#include "fs/state.h"

void getxattr_op(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void listxattr_op(fuse_req_t req, fuse_ino_t ino, size_t size);

#endif
