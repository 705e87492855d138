/* Operations on names and attributes of a forest. All is on local disk: every one is answered at
 * once. */
#ifndef FS_FOREST_LOOK_H
#define FS_FOREST_LOOK_H

#include "fs/state.h"

/* What a node's id means; forest_unpin(s->forest, p->tree) afterwards. */
struct forest_place {
	struct forest_tree *tree; /* NULL: the forest's root */
	struct erofs_attr attr;
};
/* ESTALE: nothing any more; EBADMSG, EIO. */
must_check int forest_find(struct fs_session *s, fuse_ino_t ino, struct forest_place *out,
			   struct err *e);
/* Replies with the error; tells of it once in a row if it is none that a caller may expect. */
void forest_reply_err(struct fs_session *s, fuse_req_t req, fuse_ino_t ino, const struct err *e);

void forest_lookup_op(fuse_req_t req, fuse_ino_t parent, const char *name);
void forest_forget_op(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void forest_forget_multi_op(fuse_req_t req, size_t count, struct fuse_forget_data *items);
void forest_getattr_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void forest_readlink_op(fuse_req_t req, fuse_ino_t ino);
void forest_statfs_op(fuse_req_t req, fuse_ino_t ino);
void forest_readdir_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi);
void forest_readdirplus_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			   struct fuse_file_info *fi);
void forest_getxattr_op(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void forest_listxattr_op(fuse_req_t req, fuse_ino_t ino, size_t size);

#endif
