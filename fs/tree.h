/*
 * The nodes that the kernel holds: node id <-> (parent, name), what stands behind it, how often the
 * kernel has looked it up. A node's content never changes: when a name comes to mean something
 * else, it gets a new node and the old one lives on, nameless, until the kernel forgets it.
 *
 * Node ids are a hash of the path, so inode numbers are the same after a restart. Memory is bounded
 * (fs_tree_new); tree_prune_pick() says what the kernel may be asked to drop. Thread-safe.
 *
 * All that the kernel relies on is in a ledger, from which the next process makes the same tree
 * (fs_tree_resume). Its files and links are hollow at first: what stands behind them is asked of
 * the source when somebody wants it.
 */
#ifndef FS_TREE_H
#define FS_TREE_H

#include "fs/ledger.h"
#include "fs/source.h"

#define TREE_ROOT_ID 1u

struct tree;

/* bytes_max: of names, small contents and nodes; beyond it tree_enter() is ENFILE. */
struct tree *fs_tree_new(const struct fs_source_ops *ops, void *src, size_t bytes_max);
/* An earlier process's; the ledger is the tree's, also when it fails. EBADMSG. */
must_check int fs_tree_resume(const struct fs_source_ops *ops, void *src, size_t bytes_max,
			      struct ledger *l, struct tree **out, struct err *e);
/* The ledger keeps what it has. */
void fs_tree_free(struct tree *t);
struct ledger *tree_ledger(struct tree *t);

/* What the kernel is told of a node. */
struct tree_info {
	uint64_t id;
	enum fs_kind kind;
	uint64_t size;
	int64_t mtime_ms;
	bool lasting;
};

/* The node for what a lookup found, its count of lookups one higher. Takes over entry->blob,
 * whatever the result. ESTALE: the parent is not known; ENFILE: the table is full. */
must_check int tree_enter(struct tree *t, uint64_t parent, const char *name,
			  const struct fs_entry *entry, struct tree_info *out, struct err *e);
void tree_forget(struct tree *t, uint64_t id, uint64_t count);
/* A hollow node gets its content, from what a lookup of its path found. Takes over entry->blob,
 * whatever the result. ESTALE: it is something else now, or not known. */
must_check int tree_restore(struct tree *t, uint64_t id, const struct fs_entry *entry,
			    struct err *e);

/* False if the node is not known. */
bool tree_info(struct tree *t, uint64_t id, struct tree_info *out);
/* Path relative to the mount, "" for the root, with "/name" added if name is given. NULL if the
 * node is not known. The caller frees. */
char *tree_path(struct tree *t, uint64_t id, const char *name);
/* The inode number that name in this directory has or would get; 0 if the node is not known. */
uint64_t tree_child_id(struct tree *t, uint64_t id, const char *name);
size_t tree_count(struct tree *t);
/* True when more than half of bytes_max is in use. */
bool tree_is_crowded(struct tree *t);

/* A node that somebody holds on to: it stays, and so do its texts. */
struct tree_pin {
	struct tree_info info;
	struct fs_blob *blob;	    /* a reference of its own, NULL if there is none */
	const void *data;	    /* small content, or a link's target with its NUL; else NULL */
	bool hollow;		    /* a file or link of an earlier process, not restored yet */
	struct ledger_opens *opens; /* guarded by the opener's lock (open.c); NULL for the root */
	void *private_;
};

/* ESTALE if the node is not known. */
must_check int tree_pin(struct tree *t, uint64_t id, struct tree_pin *out, struct err *e);
void tree_unpin(struct tree *t, struct tree_pin *p);

/* A name the kernel may drop: nothing hangs below it and nothing is open. */
struct tree_victim {
	uint64_t parent;
	char *name; /* owned by the caller */
};
/* The least recently looked up ones, at most count_max; they count as recent afterwards. */
unsigned tree_prune_pick(struct tree *t, struct tree_victim *out, unsigned count_max);

#endif
