/*
 * The trees of a forest that the kernel holds: number <-> name, what stands behind it, how often
 * the kernel has looked its root up. A node's id is the tree's number and the inode's nid, so that
 * nothing is kept of single nodes, and memory does not grow with what the kernel caches.
 *
 * The kernel forgets the root of a tree after everything below it: directory entries hold their
 * parents. So a tree whose root is forgotten is let go, and its layer may be removed.
 *
 * All that the next process needs is in a ledger (ledger.h): a node for each tree, its id the
 * number. Thread-safe.
 */
#ifndef FS_FOREST_H
#define FS_FOREST_H

#include "fs/forest_source.h"
#include "fs/ledger.h"

#define FOREST_ROOT_ID	1u
#define FOREST_NID_BITS 28

_Static_assert(EROFS_NID_MAX < 1u << FOREST_NID_BITS, "a nid fits");

struct forest;

/* What a number means. */
struct forest_tree {
	uint64_t number;
	struct erofs_tree *tree;
	void *layer; /* the source's */
	/* private */
	struct forest_tree *next;
	struct ledger_node *kept; /* version, lookups; named: the name leads here */
	unsigned refs;		  /* forest's lock */
	char name[];
};

struct forest *forest_new(const struct fs_forest_ops *ops, void *src);
/* An earlier process's; the ledger is the forest's, also when it fails. What is not here any more,
 * or is another image, is lost: forest_pin() gives NULL. EBADMSG. */
must_check int forest_resume(const struct fs_forest_ops *ops, void *src, struct ledger *l,
			     struct forest **out, struct err *e);
/* The ledger keeps what it has. NULL is fine. */
void forest_free(struct forest *f);
struct ledger *forest_ledger(struct forest *f);

static inline uint64_t forest_id(const struct forest_tree *t, uint64_t nid)
{
	return t->number << FOREST_NID_BITS | nid;
}

static inline uint64_t forest_nid(uint64_t id)
{
	return id & ((UINT64_C(1) << FOREST_NID_BITS) - 1);
}

/* The tree of this name, its count of lookups one higher; until forest_unpin(). ENOENT; ENFILE: too
 * many; EBADMSG: the image is damaged. */
must_check int forest_enter(struct forest *f, const char *name, struct forest_tree **out,
			    struct err *e);
/* The kernel forgets this node. */
void forest_forget(struct forest *f, uint64_t id, uint64_t count);
/* The tree of a node; until forest_unpin(). NULL: there is none, or what it showed is not here. */
struct forest_tree *forest_pin(struct forest *f, uint64_t id);
/* NULL is fine. */
void forest_unpin(struct forest *f, struct forest_tree *t);
/* Trees that the kernel holds. */
size_t forest_count(struct forest *f);
/* The nth of them; a name, owned by the caller, or NULL at the end. */
char *forest_name(struct forest *f, size_t n);

#endif
