/* The tree of a layer: names in one hash table, everything in one arena. Must not know EROFS. */
#include "fs/layer/tree.h"

#include "base/digest.h"
#include "base/mem.h"
#include "fs/layer/arena.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MEMORY_MAX   (1024ULL * 1024 * 1024)
#define SYMLINK_HOPS 40
#define XATTRS_MAX   (128 * 1024) /* bytes of one inode's */

struct tree {
	struct arena arena;
	bool user_xattrs;
	struct tree_inode *root;
	struct tree_name **table;
	size_t table_len, count; /* table_len is a power of two */
	uint32_t implied_dirs;
};

static struct tree_inode *inode_new(struct tree *t, uint32_t mode, struct err *e)
{
	struct tree_inode *ino = arena_alloc(&t->arena, sizeof(*ino), e);

	if (ino)
		ino->mode = mode;
	return ino;
}

struct tree *tree_new(bool user_xattrs)
{
	struct tree *t = mem_new(struct tree);

	t->arena.taken_max = MEMORY_MAX;
	t->user_xattrs = user_xattrs;
	t->table_len = 1024;
	t->table = mem_array(t->table_len, sizeof(*t->table));
	t->root = inode_new(t, S_IFDIR | 0755, NULL);
	t->root->parent = t->root;
	return t;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	arena_release(&t->arena);
	free(t->table);
	free(t);
}

struct tree_inode *tree_root(const struct tree *t)
{
	return t->root;
}

uint32_t tree_implied_dirs(const struct tree *t)
{
	return t->implied_dirs;
}

static struct tree_name **bucket(const struct tree *t, const struct tree_inode *dir,
				 const char *name, size_t len)
{
	uint64_t h = xxh3_of(name, len) + (uint64_t)(uintptr_t)dir * 0x9e3779b97f4a7c15;

	return &t->table[(h ^ h >> 32) & (t->table_len - 1)];
}

struct tree_name *tree_lookup(const struct tree *t, const struct tree_inode *dir, const char *name,
			      size_t len)
{
	struct tree_name *n = *bucket(t, dir, name, len);

	while (n && (n->dir != dir || n->len != len || memcmp(n->text, name, len) != 0))
		n = n->chain;
	return n;
}

static void table_grow(struct tree *t)
{
	struct tree_name **old = t->table;
	size_t old_len = t->table_len;

	t->table_len *= 2;
	t->table = mem_array(t->table_len, sizeof(*t->table));
	for (size_t i = 0; i < old_len; i++) {
		struct tree_name *n = old[i], *next, **b;

		for (; n; n = next) {
			next = n->chain;
			b = bucket(t, n->dir, n->text, n->len);
			n->chain = *b;
			*b = n;
		}
	}
	free(old);
}

/* A new name of inode in dir, where it is not yet. */
static int name_add(struct tree *t, struct tree_inode *dir, const char *text, size_t len,
		    struct tree_inode *inode, struct err *e)
{
	struct tree_name *n = arena_alloc(&t->arena, sizeof(*n), e), **b;

	if (!n)
		return -E2BIG;
	n->text = arena_copy(&t->arena, text, len, e);
	if (!n->text)
		return -E2BIG;
	if (t->count++ >= t->table_len)
		table_grow(t);
	n->len = (uint32_t)len;
	n->inode = inode;
	n->dir = dir;
	n->next = dir->first;
	if (dir->first)
		dir->first->prev = n;
	dir->first = n;
	dir->entry_count++;
	if (S_ISDIR(inode->mode))
		inode->parent = dir;
	b = bucket(t, dir, n->text, len);
	n->chain = *b;
	*b = n;
	return 0;
}

static void name_unlink(struct tree *t, struct tree_name *n)
{
	struct tree_name **at = bucket(t, n->dir, n->text, n->len);

	while (*at != n)
		at = &(*at)->chain;
	*at = n->chain;
	if (n->prev)
		n->prev->next = n->next;
	else
		n->dir->first = n->next;
	if (n->next)
		n->next->prev = n->prev;
	n->dir->entry_count--;
	t->count--;
}

/* With all that is below it. */
static void name_remove(struct tree *t, struct tree_name *top)
{
	struct tree_name *n = top;

	for (;;) {
		struct tree_inode *above;

		while (S_ISDIR(n->inode->mode) && n->inode->first)
			n = n->inode->first;
		above = n->dir;
		name_unlink(t, n);
		if (n == top)
			return;
		n = above->first ? above->first : top;
	}
}

/* The next component at *at; false at the end. */
static bool component(const char **at, const char **text_out, size_t *len_out)
{
	while (**at == '/')
		(*at)++;
	*text_out = *at;
	*len_out = strcspn(*at, "/");
	*at += *len_out;
	return *len_out > 0;
}

static bool is_dots(const char *text, size_t len, size_t dots)
{
	return len == dots && memcmp(text, "..", len) == 0;
}

static int walk(struct tree *t, struct tree_inode **dir, const char *path, int *hops,
		struct err *e);

static int dir_imply(struct tree *t, struct tree_inode **dir, const char *text, size_t len,
		     bool opaque, struct err *e)
{
	struct tree_inode *made = inode_new(t, S_IFDIR | 0755, e);
	int r;

	if (!made)
		return -E2BIG;
	made->implied = true;
	made->opaque = opaque;
	r = name_add(t, *dir, text, len, made, e);
	*dir = made;
	return r;
}

/* From *dir into its entry text, which is made if it is missing. */
static int step(struct tree *t, struct tree_inode **dir, const char *text, size_t len, int *hops,
		struct err *e)
{
	struct tree_name *n = tree_lookup(t, *dir, text, len);

	if (len > TREE_NAME_MAX)
		return err_set(e, E2BIG, "%.60s…: a name of %zu bytes", text, len);
	if (!n)
		return dir_imply(t, dir, text, len, false, e);
	if (n->inode->whiteout) {
		name_remove(t, n);
		return dir_imply(t, dir, text, len, true, e);
	}
	if (S_ISDIR(n->inode->mode)) {
		*dir = n->inode;
		return 0;
	}
	if (!S_ISLNK(n->inode->mode))
		return err_set(e, ENOTSUP, "%s is not a directory but has entries", n->text);
	if (--*hops < 0)
		return err_set(e, ENOTSUP, "%s: too many symbolic links", n->text);
	return walk(t, dir, n->inode->target, hops, e);
}

/* Follows a path to a directory. */
static int walk(struct tree *t, struct tree_inode **dir, const char *path, int *hops, struct err *e)
{
	const char *text;
	size_t len;
	int r = 0;

	if (path[0] == '/')
		*dir = t->root;
	while (r == 0 && component(&path, &text, &len)) {
		if (is_dots(text, len, 2))
			*dir = (*dir)->parent;
		else if (!is_dots(text, len, 1))
			r = step(t, dir, text, len, hops, e);
	}
	return r;
}

/* Cleans a path as Go's filepath.Clean does below a root: no dots, no doubled slashes. */
static void clean(const char *path, char out[TAR_PATH_MAX + 2])
{
	const char *text;
	size_t len, n = 0;

	while (component(&path, &text, &len)) {
		if (is_dots(text, len, 1))
			continue;
		if (is_dots(text, len, 2)) {
			while (n && out[--n] != '/')
				;
			continue;
		}
		out[n++] = '/';
		memcpy(out + n, text, len);
		n += len;
	}
	out[n] = 0;
}

/* A cleaned path's directory and last name; *name_out is "" for the root. */
static int parent_of(struct tree *t, char *path, struct tree_inode **dir_out, const char **name_out,
		     struct err *e)
{
	char *slash = strrchr(path, '/');
	int hops = SYMLINK_HOPS;

	*dir_out = t->root;
	*name_out = path;
	if (!slash)
		return 0;
	*slash = 0;
	*name_out = slash + 1;
	if (strlen(*name_out) > TREE_NAME_MAX)
		return err_set(e, E2BIG, "%.60s…: a name of more than %d bytes", *name_out,
			       TREE_NAME_MAX);
	return walk(t, dir_out, path, &hops, e);
}

/* An image has no say in what overlayfs and other file systems keep for themselves: as containerd.
 */
static bool is_not_images(const struct tar_xattr *x)
{
	static const char trusted[] = "trusted.", user[] = "user.overlay.";

	return strncmp(x->name, trusted, sizeof(trusted) - 1) == 0 ||
	       strncmp(x->name, user, sizeof(user) - 1) == 0;
}

static int xattr_set(struct tree *t, struct tree_inode *ino, const char *name, size_t name_len,
		     const void *value, size_t value_len, struct err *e)
{
	size_t sum = name_len + value_len + 8;
	struct tree_xattr *x, *same = NULL;

	for (x = ino->xattrs; x; x = x->next) {
		if (x->name_len == name_len && memcmp(x->name, name, name_len) == 0)
			same = x;
		else
			sum += x->name_len + x->value_len + 8;
	}
	if (sum > XATTRS_MAX)
		return err_set(e, E2BIG, "extended attributes of more than %d bytes", XATTRS_MAX);
	if (!same) {
		same = arena_alloc(&t->arena, sizeof(*same), e);
		if (!same)
			return -E2BIG;
		same->name = arena_copy(&t->arena, name, name_len, e);
		same->next = ino->xattrs;
		ino->xattrs = same;
	}
	same->name_len = (uint32_t)name_len;
	same->value = arena_copy(&t->arena, value, value_len, e);
	same->value_len = (uint32_t)value_len;
	return same->name && same->value ? 0 : -E2BIG;
}

static int attributes(struct tree *t, struct tree_inode *ino, const struct tar_entry *entry,
		      struct err *e)
{
	int r = 0;

	if (!S_ISLNK(ino->mode))
		ino->mode = (ino->mode & S_IFMT) | entry->mode;
	ino->uid = entry->uid;
	ino->gid = entry->gid;
	/* containerd knows no time before 1970. */
	ino->mtime_s = entry->mtime_s < 0 ? 0 : entry->mtime_s;
	ino->mtime_ns = entry->mtime_s < 0 ? 0 : entry->mtime_ns;
	ino->implied = false;
	for (uint32_t i = 0; r == 0 && i < entry->xattr_count; i++) {
		const struct tar_xattr *x = &entry->xattrs[i];

		if (!is_not_images(x))
			r = xattr_set(t, ino, x->name, x->name_len, x->value, x->value_len, e);
	}
	return r;
}

static int content(struct tree *t, struct tree_inode *ino, const struct tar_entry *entry,
		   struct err *e)
{
	size_t target_len = strlen(entry->link);

	ino->major = entry->major;
	ino->minor = entry->minor;
	if (entry->type == TAR_SYMLINK) {
		if (!target_len)
			return err_set(e, EBADMSG, "a symbolic link to nothing");
		ino->target = arena_copy(&t->arena, entry->link, target_len, e);
		ino->size = target_len;
		return ino->target ? 0 : -E2BIG;
	}
	ino->size = entry->size;
	ino->pos = entry->pos;
	ino->sparse = entry->sparse;
	ino->segment_count = entry->segment_count;
	if (entry->segment_count) {
		ino->segments = arena_copy(&t->arena, entry->segments,
					   entry->segment_count * sizeof(*entry->segments), e);
		return ino->segments ? 0 : -E2BIG;
	}
	return 0;
}

/* Makes room for an entry of that name; *opaque_out: a whiteout was in its place. */
static void replace(struct tree *t, struct tree_inode *dir, const char *name, bool *opaque_out)
{
	struct tree_name *old = tree_lookup(t, dir, name, strlen(name));

	*opaque_out = old && (old->inode->whiteout || old->inode->opaque);
	if (old)
		name_remove(t, old);
}

static int add_hard_link(struct tree *t, struct tree_inode *dir, const char *name,
			 const struct tar_entry *entry, struct err *e)
{
	char path[TAR_PATH_MAX + 2];
	struct tree_inode *from;
	struct tree_name *target;
	const char *target_name;
	bool opaque;
	int r;

	clean(entry->link, path);
	r = parent_of(t, path, &from, &target_name, e);
	if (r < 0)
		return r;
	target = tree_lookup(t, from, target_name, strlen(target_name));
	if (!target || target->inode->whiteout || S_ISDIR(target->inode->mode) ||
	    (from == dir && strcmp(target_name, name) == 0))
		return err_set(e, ENOTSUP, "a hard link to %.80s, which is no file of this layer",
			       entry->link);
	replace(t, dir, name, &opaque);
	r = name_add(t, dir, name, strlen(name), target->inode, e);
	return r < 0 ? r : attributes(t, target->inode, entry, e);
}

static uint32_t mode_of(enum tar_type type)
{
	switch (type) {
	case TAR_SYMLINK:
		return S_IFLNK | 0777;
	case TAR_CHAR:
		return S_IFCHR;
	case TAR_BLOCK_DEVICE:
		return S_IFBLK;
	case TAR_DIR:
		return S_IFDIR;
	case TAR_FIFO:
		return S_IFIFO;
	default:
		return S_IFREG;
	}
}

static int add_entry(struct tree *t, struct tree_inode *dir, const char *name,
		     const struct tar_entry *entry, struct err *e)
{
	struct tree_name *old = tree_lookup(t, dir, name, strlen(name));
	struct tree_inode *ino;
	bool opaque;
	int r;

	if (entry->type == TAR_HARD_LINK)
		return add_hard_link(t, dir, name, entry, e);
	if (old && entry->type == TAR_DIR && S_ISDIR(old->inode->mode))
		return attributes(t, old->inode, entry, e);
	ino = inode_new(t, mode_of(entry->type), e);
	if (!ino)
		return -E2BIG;
	r = content(t, ino, entry, e);
	if (r == 0)
		r = attributes(t, ino, entry, e);
	if (r < 0)
		return r;
	replace(t, dir, name, &opaque);
	ino->opaque = opaque; /* a file keeps it for a directory that comes after it */
	return name_add(t, dir, name, strlen(name), ino, e);
}

static int add_whiteout(struct tree *t, struct tree_inode *dir, const char *name,
			const struct tar_entry *entry, struct err *e)
{
	struct tree_name *old;
	struct tree_inode *ino;

	if (strcmp(name, ".wh..opq") == 0) {
		dir->opaque = true;
		return 0;
	}
	if (strncmp(name, ".wh.", 4) == 0)
		return 0;
	if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, EBADMSG, "a whiteout of nothing");
	old = tree_lookup(t, dir, name, strlen(name));
	if (old) {
		old->inode->opaque |= S_ISDIR(old->inode->mode);
		return 0;
	}
	ino = inode_new(t, S_IFCHR, e);
	if (!ino)
		return -E2BIG;
	ino->whiteout = true;
	ino->mtime_s = entry->mtime_s;
	ino->mtime_ns = entry->mtime_ns;
	return name_add(t, dir, name, strlen(name), ino, e);
}

/* Inside ".wh..wh.plnk" and the like nothing is the layer's. */
static bool is_aufs(const char *path)
{
	const char *at = strstr(path, "/.wh..wh.");

	return at && strcmp(at, "/.wh..wh..opq") != 0;
}

static int add(struct tree *t, const struct tar_entry *entry, struct err *e)
{
	char path[TAR_PATH_MAX + 2];
	struct tree_inode *dir;
	const char *name;
	int r;

	clean(entry->path, path);
	if (is_aufs(path))
		return 0;
	r = parent_of(t, path, &dir, &name, e);
	if (r < 0)
		return r;
	if (!name[0]) {
		if (entry->type != TAR_DIR)
			return err_set(e, EBADMSG, "the root is not a directory");
		return 0; /* containerd gives the root 0755, root's, whatever the layer says */
	}
	if (strncmp(name, ".wh.", 4) == 0)
		return add_whiteout(t, dir, name + 4, entry, e);
	return add_entry(t, dir, name, entry, e);
}

int tree_add(void *tree, const struct tar_entry *entry, struct err *e)
{
	struct err why;

	if (add(tree, entry, &why) == 0)
		return 0;
	err_wrap(&why, "%.100s", entry->path);
	return err_copy(e, &why);
}

static int end_dir(struct tree *t, struct tree_inode *ino, struct err *e)
{
	static const char trusted[] = "trusted.overlay.opaque", user[] = "user.overlay.opaque";
	int r = 0;

	t->implied_dirs += ino->implied;
	if (ino->opaque)
		r = xattr_set(t, ino, trusted, sizeof(trusted) - 1, "y", 1, e);
	if (r == 0 && ino->opaque && t->user_xattrs)
		r = xattr_set(t, ino, user, sizeof(user) - 1, "y", 1, e);
	return r;
}

int tree_end(struct tree *t, struct err *e)
{
	int r = end_dir(t, t->root, e);

	t->root->nlink += 2;
	for (size_t i = 0; i < t->table_len; i++) {
		for (struct tree_name *n = t->table[i]; r == 0 && n; n = n->chain) {
			bool is_dir = S_ISDIR(n->inode->mode);

			n->inode->nlink += is_dir ? 2 : 1;
			n->dir->nlink += is_dir;
			if (is_dir)
				r = end_dir(t, n->inode, e);
		}
	}
	return r;
}
