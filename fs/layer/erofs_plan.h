/* Where everything of an EROFS image lies, before a byte of it is written. Between erofs.c (writes)
 * and erofs_plan.c (measures); erofs_xattrs.c knows attributes alone. */
#ifndef FS_LAYER_EROFS_PLAN_H
#define FS_LAYER_EROFS_PLAN_H

#include "fs/layer/erofs_format.h"
#include "fs/layer/tree.h"

/* The kernel's own numbers of the beginnings of attribute names; 0 = it knows none. */
uint8_t erofs_xattr_prefix(const char *name, uint32_t name_len, uint32_t *prefix_len_out);
/* NULL if there is no such number. */
const char *erofs_xattr_prefix_text(uint8_t no);

struct erofs_shared; /* an attribute that several inodes have */

struct erofs_xattrs; /* all of them */

struct erofs_xattrs *erofs_xattrs_new(void);
void erofs_xattrs_free(struct erofs_xattrs *x);
/* Counts the attributes of an inode: those counted twice are shared. */
void erofs_xattrs_count(struct erofs_xattrs *x, const struct tree_inode *ino);
/* Gives the shared ones their places; returns the bytes they take. */
uint64_t erofs_xattrs_place(struct erofs_xattrs *x);
/* Bytes that the inode's attributes take behind it, 0 if it has none. */
uint32_t erofs_xattrs_len(const struct erofs_xattrs *x, const struct tree_inode *ino);
/* Writes these bytes. */
void erofs_xattrs_write(const struct erofs_xattrs *x, const struct tree_inode *ino, FILE *file);
void erofs_xattrs_write_shared(const struct erofs_xattrs *x, FILE *file);

struct erofs_node {
	struct tree_inode *inode;
	uint64_t offset; /* in the image */
	uint32_t xattr_len;
	uint8_t layout;
	uint64_t size;	      /* of the data: of a file, target or directory */
	uint32_t inline_len;  /* of the data's tail, behind the inode */
	uint32_t first_block; /* of the other data, counted from the data's first */
	uint8_t chunk_bits;   /* chunk-based: length of a chunk */
	uint32_t chunk_count;
	struct tree_name **names; /* of a directory: sorted, "." and ".." not among them */
};

struct erofs_plan {
	struct erofs_node *nodes; /* the root first; inode->mark is the index + 1 */
	size_t count, cap;
	struct erofs_xattrs *xattrs;
	uint64_t xattr_offset, shared_len, data_offset, len;
	uint64_t tar_len;
};

must_check int erofs_plan_make(struct erofs_plan *p, struct tree *t, uint64_t tar_len,
			       struct err *e);
void erofs_plan_release(struct erofs_plan *p);
struct erofs_node *erofs_plan_node(const struct erofs_plan *p, const struct tree_inode *ino);

/* The entries of a directory in their order, dots included: *at starts at zeros. */
struct erofs_dir_walk {
	uint32_t next, dots; /* names and dots taken */
};
/* false at the end; sets name and inode. */
bool erofs_dir_next(const struct erofs_node *dir, struct erofs_dir_walk *at, const char **name_out,
		    uint32_t *len_out, const struct tree_inode **inode_out);

#endif
