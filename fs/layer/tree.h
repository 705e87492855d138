/*
 * The tree that a layer's entries make, in memory: as containerd's unpacker leaves it in an
 * overlayfs upper directory.
 *
 * - Names are cleaned ("/", "./", "a/../b"); a symbolic link of this layer in the middle of a name
 * is followed, inside the tree. Missing directories are made 0755 root:root with time 0.
 * - The last entry of a name wins; a directory over a directory keeps what is in it.
 * - ".wh.name" is a character device 0/0, ".wh..wh..opq" makes its directory opaque
 *   (trusted.overlay.opaque=y); other names that begin with ".wh..wh." are left out. A whiteout
 * never hides an entry of its own layer: of a directory that is both it makes an opaque one.
 * - trusted.overlay.* and user.overlay.* attributes of the archive are left out: overlayfs would
 *   take them for its own.
 * - A hard link gives its inode the attributes of its own header. One to a name that this layer
 * does not have makes the layer ENOTSUP.
 */
#ifndef FS_LAYER_TREE_H
#define FS_LAYER_TREE_H

#include "fs/layer/tar.h"

#define TREE_NAME_MAX 255

struct tree_inode;

struct tree_name {
	const char *text;
	uint32_t len;
	struct tree_inode *inode;
	struct tree_inode *dir;
	struct tree_name *prev, *next; /* of the same directory, unsorted */
	struct tree_name *chain;       /* of the hash table */
};

struct tree_xattr {
	const char *name;
	const void *value;
	uint32_t name_len, value_len;
	struct tree_xattr *next;
};

struct tree_inode {
	uint32_t mode; /* with S_IFMT */
	uint32_t uid, gid, nlink;
	uint32_t major, minor;
	int64_t mtime_s;
	uint32_t mtime_ns;
	bool whiteout, implied, opaque, sparse;
	uint64_t size; /* of a file, or of the target of a symbolic link */
	uint64_t pos;  /* of a file's data in the tar */
	const struct tar_segment *segments;
	uint32_t segment_count;
	const char *target; /* of a symbolic link */
	struct tree_xattr *xattrs;
	struct tree_inode *parent; /* of a directory; the root's is itself */
	struct tree_name *first;   /* of a directory */
	uint32_t entry_count;	   /* names in a directory */
	uint64_t mark;		   /* 0; for whoever walks the tree */
};

struct tree;

struct tree *tree_new(bool user_xattrs);
void tree_free(struct tree *t);
/* EBADMSG, ENOTSUP, E2BIG. What the entry points to is copied. Fits tar_entry_fn. */
must_check int tree_add(void *tree, const struct tar_entry *entry, struct err *e);
/* Nothing more comes: links are counted, opaque directories get their attribute. E2BIG. */
must_check int tree_end(struct tree *t, struct err *e);
struct tree_inode *tree_root(const struct tree *t);
/* Directories that no entry named. */
uint32_t tree_implied_dirs(const struct tree *t);
/* NULL if absent; len bytes of name, no slash. */
struct tree_name *tree_lookup(const struct tree *t, const struct tree_inode *dir, const char *name,
			      size_t len);

#endif
