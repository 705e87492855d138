/* A tree never changes, so the kernel may keep whatever it was told, also that a name is not there.
 * What is below the forest's own root may come and go: that is asked for each time. */
#include "fs/forest_look.h"

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define BLOCK_SIZE    4096u
#define LIST_ROOM     (1u << 20) /* more is never asked for at a time */
#define VALUE_MAX     65536u	 /* the kernel's own bound of an attribute's value */
#define ROOT_NAME_MAX 255

int forest_find(struct fs_session *s, fuse_ino_t ino, struct forest_place *out, struct err *e)
{
	int r;

	*out = (struct forest_place){0};
	if (ino == FOREST_ROOT_ID)
		return 0;
	out->tree = forest_pin(s->forest, ino);
	if (!out->tree)
		return err_set(e, ESTALE, "node %llx", (unsigned long long)ino);
	r = erofs_tree_attr(out->tree->tree, forest_nid(ino), &out->attr, e);
	if (r < 0) {
		forest_unpin(s->forest, out->tree);
		out->tree = NULL;
	}
	return r;
}

void forest_reply_err(struct fs_session *s, fuse_req_t req, fuse_ino_t ino, const struct err *e)
{
	switch (e->code) {
	case ENOENT:
	case ENOTDIR:
	case ENODATA:
	case ERANGE:
	case EINVAL:
	case ESTALE:
		fuse_reply_err(req, e->code);
		return;
	default:
		fuse_reply_err(req, session_errno(e));
		atomic_fetch_add(&s->stat.errors, 1);
		if (atomic_exchange(&s->error_told_id, ino) != ino)
			log_warn("layer's tree cannot be read", "node=%llx why=\"%s\"",
				 (unsigned long long)ino, e->text);
	}
}

/* ---- attributes */

static void fill_root(const struct fs_session *s, struct stat *st)
{
	*st = (struct stat){.st_ino = FOREST_ROOT_ID,
			    .st_mode =
				    S_IFDIR | 0700, /* there is more in layers than all may run */
			    .st_nlink = 1,
			    .st_blksize = BLOCK_SIZE};
	st->st_mtim.tv_sec = s->started_ms / 1000;
	st->st_ctim = st->st_atim = st->st_mtim;
}

static void fill_stat(const struct forest_tree *t, const struct erofs_attr *a, struct stat *st)
{
	*st = (struct stat){.st_ino = forest_id(t, a->nid),
			    .st_mode = a->mode,
			    .st_nlink = a->nlink,
			    .st_uid = a->uid,
			    .st_gid = a->gid,
			    .st_rdev = a->rdev,
			    .st_size = (off_t)a->size,
			    .st_blksize = BLOCK_SIZE,
			    .st_blocks = (blkcnt_t)(a->size / 512 + (a->size % 512 != 0))};
	st->st_mtim.tv_sec = a->mtime_s;
	st->st_mtim.tv_nsec = a->mtime_ns;
	st->st_ctim = st->st_atim = st->st_mtim;
}

static void fill_entry(const struct fs_session *s, const struct forest_tree *t,
		       const struct erofs_attr *a, double entry_timeout,
		       struct fuse_entry_param *out)
{
	*out = (struct fuse_entry_param){.ino = forest_id(t, a->nid),
					 /* Another mount's nodes are others. */
					 .generation = (uint64_t)s->started_ms & UINT32_MAX,
					 .attr_timeout = LASTING_TIMEOUT_S,
					 .entry_timeout = entry_timeout};
	fill_stat(t, a, &out->attr);
}

/* A name of the forest's root. */
static int look_up_tree(struct fs_session *s, fuse_req_t req, const char *name, struct err *e)
{
	struct fuse_entry_param param;
	struct forest_tree *t = NULL;
	struct erofs_attr root;
	int r = forest_enter(s->forest, name, &t, e);

	if (r < 0)
		return r;
	r = erofs_tree_attr(t->tree, erofs_tree_root(t->tree), &root, e);
	if (r == 0)
		fill_entry(s, t, &root, 0, &param);
	/* The asker was interrupted: the kernel does not count this lookup. */
	if (r < 0 || fuse_reply_entry(req, &param) < 0)
		forest_forget(s->forest, forest_id(t, erofs_tree_root(t->tree)), 1);
	forest_unpin(s->forest, t);
	return r;
}

static int look_up(const struct fs_session *s, fuse_req_t req, const struct forest_place *dir,
		   const char *name, struct err *e)
{
	struct fuse_entry_param param = {.entry_timeout = LASTING_TIMEOUT_S};
	struct erofs_attr a;
	uint64_t nid;
	int r = erofs_tree_lookup(dir->tree->tree, &dir->attr, name, &nid, e);

	if (r == -ENOENT) {
		fuse_reply_entry(req, &param); /* there is none, and never will be */
		return 0;
	}
	if (r == 0)
		r = erofs_tree_attr(dir->tree->tree, nid, &a, e);
	if (r < 0)
		return r;
	fill_entry(s, dir->tree, &a, LASTING_TIMEOUT_S, &param);
	fuse_reply_entry(req, &param);
	return 0;
}

void forest_lookup_op(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_session *s = session_of(req);
	struct forest_place dir;
	struct err e = {0};
	int r = forest_find(s, parent, &dir, &e);

	if (r == 0)
		r = dir.tree ? look_up(s, req, &dir, name, &e) : look_up_tree(s, req, name, &e);
	forest_unpin(s->forest, dir.tree);
	if (r < 0)
		forest_reply_err(s, req, parent, &e);
}

void forest_forget_op(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	forest_forget(session_of(req)->forest, ino, count);
	fuse_reply_none(req);
}

void forest_forget_multi_op(fuse_req_t req, size_t count, struct fuse_forget_data *items)
{
	for (size_t i = 0; i < count; i++)
		forest_forget(session_of(req)->forest, items[i].ino, items[i].nlookup);
	fuse_reply_none(req);
}

void forest_getattr_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_session *s = session_of(req);
	struct forest_place at;
	struct err e = {0};
	struct stat st;

	(void)fi;
	if (forest_find(s, ino, &at, &e) < 0) {
		forest_reply_err(s, req, ino, &e);
		return;
	}
	if (at.tree)
		fill_stat(at.tree, &at.attr, &st);
	else
		fill_root(s, &st);
	forest_unpin(s->forest, at.tree);
	fuse_reply_attr(req, &st, LASTING_TIMEOUT_S);
}

void forest_readlink_op(fuse_req_t req, fuse_ino_t ino)
{
	struct fs_session *s = session_of(req);
	char text[EROFS_TARGET_MAX + 1];
	struct forest_place at;
	struct err e = {0};
	int r = forest_find(s, ino, &at, &e);

	if (r == 0)
		r = at.tree ? erofs_tree_target(at.tree->tree, &at.attr, text, &e)
			    : err_set(&e, EINVAL, "the root is no link");
	forest_unpin(s->forest, at.tree);
	if (r < 0)
		forest_reply_err(s, req, ino, &e);
	else
		fuse_reply_readlink(req, text);
}

void forest_statfs_op(fuse_req_t req, fuse_ino_t ino)
{
	struct fs_session *s = session_of(req);
	struct statvfs st = {
		.f_bsize = BLOCK_SIZE, .f_frsize = BLOCK_SIZE, .f_namemax = ROOT_NAME_MAX};
	struct forest_tree *t = forest_pin(s->forest, ino);

	if (t) {
		st.f_files = erofs_tree_inode_count(t->tree);
		st.f_blocks = erofs_tree_tar_len(t->tree) / BLOCK_SIZE;
	} else {
		st.f_files = forest_count(s->forest);
	}
	forest_unpin(s->forest, t);
	fuse_reply_statfs(req, &st);
}

/* ---- directories */

struct page {
	const struct fs_session *s;
	fuse_req_t req;
	char *data;
	size_t size, used;
	bool plus, full;
	off_t from, no; /* of the forest's root: where to begin, and where we are */
};

/* False: it has no room. */
static bool put(struct page *p, const char *name, const struct fuse_entry_param *entry, off_t next)
{
	char *at = p->data + p->used;
	size_t left = p->size - p->used, len;

	if (p->plus)
		len = fuse_add_direntry_plus(p->req, at, left, name, entry, next);
	else
		len = fuse_add_direntry(p->req, at, left, name, &entry->attr, next);
	if (len > left)
		return false;
	p->used += len;
	return true;
}

static int list_tree(struct page *p, const struct forest_place *dir, struct err *e)
{
	const struct erofs_tree *t = dir->tree->tree;
	uint64_t at = (uint64_t)p->from;

	for (;;) {
		struct fuse_entry_param entry;
		struct erofs_name name;
		struct erofs_attr a;
		bool found;
		int r = erofs_tree_next(t, &dir->attr, at, &name, &found, e);

		if (r == 0 && !found)
			return 0;
		if (r == 0)
			r = erofs_tree_attr(t, name.nid, &a, e);
		/* What is read goes out; who goes on from here gets the error. */
		if (r < 0)
			return p->used ? 0 : r;
		fill_entry(p->s, dir->tree, &a, LASTING_TIMEOUT_S, &entry);
		if (!put(p, name.text, &entry, (off_t)name.next))
			return 0;
		at = name.next;
	}
}

/* Without a node: it would count as a lookup. */
static void list_one(void *arg, const char *name, enum fs_kind kind)
{
	const struct fuse_entry_param entry = {
		.attr = {.st_mode = S_IFDIR, .st_ino = FOREST_ROOT_ID}};
	struct page *p = arg;

	(void)kind;
	if (p->no++ < p->from || p->full)
		return;
	p->full = !put(p, name, &entry, p->no);
}

static void list_root(struct fs_session *s, struct page *p)
{
	list_one(p, ".", FS_DIR);
	list_one(p, "..", FS_DIR);
	s->forest_ops->list(s->src, list_one, p);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, bool plus)
{
	struct fs_session *s = session_of(req);
	size_t room = size < LIST_ROOM ? size : LIST_ROOM;
	cleanup(free_at) char *data = mem_alloc(room);
	struct page p = {.s = s, .req = req, .data = data, .size = room, .plus = plus, .from = off};
	struct forest_place at;
	struct err e = {0};
	int r = forest_find(s, ino, &at, &e);

	if (r == 0 && at.tree)
		r = list_tree(&p, &at, &e);
	else if (r == 0)
		list_root(s, &p);
	forest_unpin(s->forest, at.tree);
	if (r < 0)
		forest_reply_err(s, req, ino, &e);
	else
		fuse_reply_buf(req, data, p.used);
}

void forest_readdir_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, false);
}

void forest_readdirplus_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
			   struct fuse_file_info *fi)
{
	(void)fi;
	list(req, ino, size, off, true);
}

/* ---- extended attributes */

static void reply_bytes(fuse_req_t req, const char *data, size_t len, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, len);
	else
		fuse_reply_buf(req, data, len);
}

void forest_getxattr_op(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs_session *s = session_of(req);
	cleanup(free_at) char *value = NULL;
	struct forest_place at;
	struct err e = {0};
	size_t len = 0;
	int r = forest_find(s, ino, &at, &e);

	if (size > VALUE_MAX)
		size = VALUE_MAX;
	value = mem_alloc(size + 1);
	if (r == 0)
		r = at.tree ? erofs_tree_xattr(at.tree->tree, &at.attr, name, value, size, &len, &e)
			    : err_set(&e, ENODATA, "the root has none");
	forest_unpin(s->forest, at.tree);
	if (r < 0)
		forest_reply_err(s, req, ino, &e);
	else
		reply_bytes(req, value, len, size);
}

struct names {
	struct buf text;
	bool root; /* the asker is */
};

static void add_name(void *arg, const char *name)
{
	struct names *n = arg;

	/* As file systems in the kernel do. */
	if (n->root || strncmp(name, "trusted.", 8) != 0)
		buf_append(&n->text, name, strlen(name) + 1);
}

void forest_listxattr_op(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	struct fs_session *s = session_of(req);
	struct names n = {.text = BUF_INIT(0), .root = fuse_req_ctx(req)->uid == 0};
	struct forest_place at;
	struct err e = {0};
	int r = forest_find(s, ino, &at, &e);

	if (r == 0 && at.tree)
		r = erofs_tree_xattrs(at.tree->tree, &at.attr, add_name, &n, &e);
	forest_unpin(s->forest, at.tree);
	if (r == 0 && size > 0 && n.text.len > size)
		r = err_set(&e, ERANGE, "names of attributes");
	if (r < 0)
		forest_reply_err(s, req, ino, &e);
	else
		reply_bytes(req, n.text.data, n.text.len, size);
	buf_release(&n.text);
}
