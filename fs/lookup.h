/* LOOKUP, FORGET, GETATTR, READLINK, STATFS: what a name is. */
#ifndef FS_LOOKUP_H
#define FS_LOOKUP_H

#include "fs/state.h"

void lookup_op(fuse_req_t req, fuse_ino_t parent, const char *name);
void forget_op(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void forget_multi_op(fuse_req_t req, size_t count, struct fuse_forget_data *items);
void getattr_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void readlink_op(fuse_req_t req, fuse_ino_t ino);
void statfs_op(fuse_req_t req, fuse_ino_t ino);

#endif
