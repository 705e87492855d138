/*
 * Reads the tree out of an EROFS image that erofs.c wrote: for showing a layer where the kernel has
 * no EROFS. Reads our own images alone, not every EROFS. The image may have been damaged since:
 * each place is compared with the image's length before it is read, and whatever cannot be is
 * EBADMSG.
 *
 * An inode is known by its nid (its place in the image); the same tree gives the same nids. The
 * object does not change: any number of threads may use it. Functions read the image, and nothing
 * else.
 */
#ifndef FS_LAYER_EROFS_TREE_H
#define FS_LAYER_EROFS_TREE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EROFS_NID_MAX	 (UINT32_MAX / 32) /* an image is shorter than 4 GiB */
#define EROFS_TARGET_MAX 4095		   /* bytes of a symbolic link: the kernel's own bound */

struct erofs_tree;

struct erofs_attr {
	uint64_t nid;
	uint32_t mode; /* with S_IFMT */
	uint32_t uid, gid, nlink;
	uint32_t rdev; /* of a device; glibc's makedev() and the kernel's new_encode_dev() */
	uint64_t size;
	int64_t mtime_s;
	uint32_t mtime_ns;
	/* private */
	uint32_t data, xattr_len;
	uint8_t layout;
};

/* Where bytes of a file are in the uncompressed tar. */
struct erofs_extent {
	uint64_t pos;
	uint32_t len;
	bool hole; /* zeros, nowhere */
};

/* Keeps a duplicate of fd. EBADMSG: it is not such an image. */
must_check int erofs_tree_open(int fd, struct erofs_tree **out, struct err *e);
/* NULL is fine. */
void erofs_tree_free(struct erofs_tree *t);
uint64_t erofs_tree_root(const struct erofs_tree *t);
uint64_t erofs_tree_inode_count(const struct erofs_tree *t);
/* Of the tar that its files are in, a whole number of its blocks. */
uint64_t erofs_tree_tar_len(const struct erofs_tree *t);

must_check int erofs_tree_attr(const struct erofs_tree *t, uint64_t nid, struct erofs_attr *out,
			       struct err *e);
/* The nid of a name in a directory. ENOENT, ENOTDIR. */
must_check int erofs_tree_lookup(const struct erofs_tree *t, const struct erofs_attr *dir,
				 const char *name, uint64_t *nid_out, struct err *e);

struct erofs_name {
	char text[256];
	uint64_t nid;
	uint64_t next; /* where the listing goes on behind it */
};
/* The name at this place of the directory (0 = the beginning), "." and ".." among them. *found_out
 * is false at the end. ENOTDIR; EINVAL: it is no place that a listing told. */
must_check int erofs_tree_next(const struct erofs_tree *t, const struct erofs_attr *dir,
			       uint64_t at, struct erofs_name *out, bool *found_out, struct err *e);
/* EINVAL: it is no symbolic link. */
must_check int erofs_tree_target(const struct erofs_tree *t, const struct erofs_attr *link,
				 char text[EROFS_TARGET_MAX + 1], struct err *e);
/* Copies the value if it fits and tells its length. ENODATA, ERANGE (size 0 never is). */
must_check int erofs_tree_xattr(const struct erofs_tree *t, const struct erofs_attr *a,
				const char *name, void *value, size_t size, size_t *len_out,
				struct err *e);
/* Calls fn with every attribute's name. */
must_check int erofs_tree_xattrs(const struct erofs_tree *t, const struct erofs_attr *a,
				 void (*fn)(void *arg, const char *name), void *arg, struct err *e);
/* [off, off + len), which is inside the file: in order, neighbours joined. EINVAL: it is no file;
 * E2BIG: more than count_max; len / 512 + 2 are always enough. */
must_check int erofs_tree_extents(const struct erofs_tree *t, const struct erofs_attr *file,
				  uint64_t off, uint32_t len, struct erofs_extent *out,
				  unsigned count_max, unsigned *count_out, struct err *e);

#endif
