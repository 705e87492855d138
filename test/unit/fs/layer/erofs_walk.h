/* Asks a tree everything that can be asked of it. For images that are damaged: whatever they say,
 * it ends. */
#ifndef TEST_UNIT_FS_LAYER_EROFS_WALK_H
#define TEST_UNIT_FS_LAYER_EROFS_WALK_H

#include "fs/layer/erofs_tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define WALK_DEPTH_MAX 6
#define WALK_STEPS_MAX 2000 /* a damaged directory may lead round in circles */

struct erofs_walk {
	const struct erofs_tree *tree;
	unsigned steps, errors;
};

static inline void walk_name(void *arg, const char *name)
{
	assert(strlen(name) < 300);
	++*(unsigned *)arg;
}

static inline void walk_contents(struct erofs_walk *w, const struct erofs_attr *a)
{
	struct erofs_extent x[64];
	uint32_t len = a->size < 4096 ? (uint32_t)a->size : 4096, sum = 0;
	uint64_t off = a->size - len;
	unsigned count;
	struct err e;

	if (erofs_tree_extents(w->tree, a, off, len, x, 64, &count, &e) < 0) {
		w->errors++;
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		sum += x[i].len;
		assert(x[i].hole || x[i].pos + x[i].len <= erofs_tree_tar_len(w->tree));
	}
	assert(sum == len);
}

static inline void walk_attributes(struct erofs_walk *w, const struct erofs_attr *a)
{
	char value[64];
	unsigned count = 0;
	size_t len = 0;
	struct err e;

	if (erofs_tree_xattrs(w->tree, a, walk_name, &count, &e) < 0)
		w->errors++;
	if (erofs_tree_xattr(w->tree, a, "user.x", value, sizeof(value), &len, &e) == 0)
		assert(len <= sizeof(value));
}

static inline void walk_inode(struct erofs_walk *w, uint64_t nid, int depth);

static inline void walk_dir(struct erofs_walk *w, const struct erofs_attr *dir, int depth)
{
	struct erofs_name name = {.next = 0};
	bool found = true;
	struct err e;

	while (found && w->steps++ < WALK_STEPS_MAX) {
		uint64_t nid;

		if (erofs_tree_next(w->tree, dir, name.next, &name, &found, &e) < 0) {
			w->errors++;
			return;
		}
		if (!found)
			return;
		if (erofs_tree_lookup(w->tree, dir, name.text, &nid, &e) < 0)
			w->errors++;
		if (strcmp(name.text, ".") != 0 && strcmp(name.text, "..") != 0)
			walk_inode(w, name.nid, depth + 1);
	}
}

static inline void walk_inode(struct erofs_walk *w, uint64_t nid, int depth)
{
	char target[EROFS_TARGET_MAX + 1];
	struct erofs_attr a;
	struct err e;

	if (erofs_tree_attr(w->tree, nid, &a, &e) < 0) {
		w->errors++;
		return;
	}
	walk_attributes(w, &a);
	if (S_ISREG(a.mode))
		walk_contents(w, &a);
	if (S_ISLNK(a.mode) && erofs_tree_target(w->tree, &a, target, &e) < 0)
		w->errors++;
	if (S_ISDIR(a.mode) && depth < WALK_DEPTH_MAX)
		walk_dir(w, &a, depth);
}

/* How many answers were errors; UINT32_MAX: it cannot be opened. */
static inline unsigned erofs_walk_all(int fd)
{
	struct erofs_walk w = {.steps = 0};
	struct erofs_tree *t;
	struct err e;

	if (erofs_tree_open(fd, &t, &e) < 0)
		return UINT32_MAX;
	w.tree = t;
	walk_inode(&w, erofs_tree_root(t), 0);
	erofs_tree_free(t);
	return w.errors;
}

#endif
