/* OPEN and READ of a forest. Nothing is remembered of an open file: its node's id says all. */
#ifndef FS_FOREST_READ_H
#define FS_FOREST_READ_H

#include "fs/state.h"

void forest_open_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void forest_read_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);

#endif
