/* A directory is listed once, when it is opened; readers page through that list. */
#include "fs/dir.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define ENTRIES_MAX (1u << 20)

struct dir_entry {
	char *name;
	mode_t type;
};

struct dir {
	struct list link; /* session.dirs; opens_lock */
	struct dir_entry *entries;
	size_t count, cap;
};

static void dir_free(struct dir *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->entries[i].name);
	free(d->entries);
	free(d);
}

static void dir_add(void *arg, const char *name, enum fs_kind kind)
{
	static const mode_t types[] = {
		[FS_DIR] = S_IFDIR, [FS_FILE] = S_IFREG, [FS_LINK] = S_IFLNK};
	struct dir *d = arg;

	if (d->count == ENTRIES_MAX)
		return;
	if (d->count == d->cap) {
		d->cap = d->cap ? d->cap * 2 : 16;
		d->entries = mem_realloc(d->entries, d->cap * sizeof(*d->entries));
	}
	d->entries[d->count++] = (struct dir_entry){.name = mem_strdup(name), .type = types[kind]};
}

static void dir_close(struct fs_session *s, struct dir *d)
{
	lock_take(&s->opens_lock);
	list_remove(&d->link);
	lock_drop(&s->opens_lock);
	dir_free(d);
}

static void dir_free_at(struct dir **d)
{
	if (*d)
		dir_free(*d);
}

/* NULL if the node is not known. */
static struct dir *dir_list(struct fs_session *s, fuse_ino_t ino)
{
	cleanup(free_at) char *path = tree_path(s->tree, ino, NULL);
	struct dir *d;

	if (!path)
		return NULL;
	d = mem_new(struct dir);
	dir_add(d, ".", FS_DIR);
	dir_add(d, "..", FS_DIR);
	s->ops->list(s->src, path, dir_add, d);
	return d;
}

void opendir_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_session *s = session_of(req);
	struct dir *d = dir_list(s, ino);

	if (!d) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	lock_take(&s->opens_lock);
	list_push_back(&s->dirs, &d->link);
	lock_drop(&s->opens_lock);
	fi->fh = handle_number(s, d);
	if (fuse_reply_open(req, fi) < 0)
		dir_close(s, d);
}

void readdir_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs_session *s = session_of(req);
	struct dir *d = handle_pointer(s, fi->fh);
	cleanup(dir_free_at) struct dir *anew = NULL;
	cleanup(free_at) char *data = NULL;
	size_t used = 0;

	/* One of an earlier process: the names that are there now. */
	if (!d)
		d = anew = dir_list(s, ino);
	if (!d) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (size > (1u << 20))
		size = 1u << 20;
	data = mem_alloc(size);
	for (size_t i = (size_t)off; i < d->count; i++) {
		struct stat st = {.st_mode = d->entries[i].type};
		size_t len;

		st.st_ino = i < 2 ? ino : tree_child_id(s->tree, ino, d->entries[i].name);
		len = fuse_add_direntry(req, data + used, size - used, d->entries[i].name, &st,
					(off_t)i + 1);
		if (len > size - used)
			break;
		used += len;
	}
	fuse_reply_buf(req, data, used);
}

void releasedir_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_session *s = session_of(req);
	struct dir *d = handle_pointer(s, fi->fh);

	(void)ino;
	if (d)
		dir_close(s, d);
	fuse_reply_err(req, 0);
}

void dirs_release(struct fs_session *s)
{
	while (!list_empty(&s->dirs))
		dir_close(s, list_entry(s->dirs.next, struct dir, link));
}
