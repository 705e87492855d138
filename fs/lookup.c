/* A lookup goes to the source; the node of what it finds answers everything else. */
#include "fs/lookup.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/request.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define NAME_LEN_MAX	4095
#define PRUNE_COUNT_MAX 512
#define BLOCK_SIZE	4096u

struct lookup {
	struct request rq;
	struct fs_lookup ask;
	uint64_t parent;
	char name[];
};

static void fill_stat(const struct fs_session *s, const struct tree_info *info, struct stat *st)
{
	static const mode_t modes[] = {
		[FS_DIR] = S_IFDIR | 0555, [FS_FILE] = S_IFREG | 0444, [FS_LINK] = S_IFLNK | 0777};
	int64_t mtime_ms = info->mtime_ms ? info->mtime_ms : s->started_ms;

	memset(st, 0, sizeof(*st));
	st->st_ino = info->id;
	st->st_mode = modes[info->kind];
	st->st_nlink = 1; /* of a directory too: "not counted", as btrfs and overlayfs say it */
	st->st_size = (off_t)info->size;
	st->st_blksize = BLOCK_SIZE;
	st->st_blocks = (blkcnt_t)((info->size + 511) / 512);
	st->st_mtim.tv_sec = mtime_ms / 1000;
	st->st_mtim.tv_nsec = mtime_ms % 1000 * 1000000;
	st->st_ctim = st->st_atim = st->st_mtim;
}

/* Asks the kernel to let go of the names used least. Not on a FUSE thread: the kernel wants the
 * directory's lock for it, which a lookup that waits for us may hold. */
static void prune(void *arg)
{
	struct fs_session *s = arg;
	struct tree_victim *victims = mem_array(PRUNE_COUNT_MAX, sizeof(*victims));
	unsigned count = tree_prune_pick(s->tree, victims, PRUNE_COUNT_MAX);

	for (unsigned i = 0; i < count; i++) {
		if (!atomic_load(&s->stopping))
			fuse_lowlevel_notify_inval_entry(s->fuse, victims[i].parent,
							 victims[i].name, strlen(victims[i].name));
		free(victims[i].name);
	}
	free(victims);
	atomic_store(&s->pruning, false);
}

static void prune_if_crowded(struct fs_session *s)
{
	if (!tree_is_crowded(s->tree) || atomic_exchange(&s->pruning, true))
		return;
	if (!pool_run(s->prune_pool, prune, s))
		atomic_store(&s->pruning, false);
}

static void reply_entry(struct lookup *l, const struct fs_entry *entry)
{
	struct fs_session *s = l->rq.s;
	struct fuse_entry_param param = {0};
	struct tree_info info;
	struct err e = {0};
	int r = tree_enter(s->tree, l->parent, l->name, entry, &info, &e);

	if (r < 0) {
		log_warn("name not taken in", "name=\"%s\" why=\"%s\"", l->name, e.text);
		fuse_reply_err(l->rq.req, e.code == ESTALE ? ESTALE : session_errno(&e));
		return;
	}
	param.ino = info.id;
	param.attr_timeout = LASTING_TIMEOUT_S; /* a node's content never changes */
	param.entry_timeout = info.lasting ? LASTING_TIMEOUT_S : 0;
	fill_stat(s, &info, &param.attr);
	/* The asker was interrupted: the kernel does not count this lookup. */
	if (fuse_reply_entry(l->rq.req, &param) < 0)
		tree_forget(s->tree, info.id, 1);
	prune_if_crowded(s);
}

static void lookup_done(struct fs_lookup *ask, const struct fs_entry *entry, const struct err *e)
{
	struct lookup *l = ask->arg;

	request_answering(&l->rq);
	if (entry) {
		reply_entry(l, entry);
	} else {
		/* No negative entry: the blob may be there in a moment. */
		fuse_reply_err(l->rq.req, session_errno(e));
		if (e->code != ENOENT)
			atomic_fetch_add(&l->rq.s->stat.errors, 1);
	}
	request_answered(&l->rq);
}

static bool lookup_cancel(struct request *rq)
{
	struct lookup *l = container_of(rq, struct lookup, rq);

	return rq->s->ops->lookup_cancel(rq->s->src, &l->ask);
}

static void lookup_free(struct request *rq)
{
	free(container_of(rq, struct lookup, rq));
}

void lookup_op(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_session *s = session_of(req);
	cleanup(free_at) char *path = NULL;
	struct lookup *l;

	if (strlen(name) > NAME_LEN_MAX) {
		fuse_reply_err(req, ENAMETOOLONG);
		return;
	}
	path = tree_path(s->tree, parent, name);
	if (!path) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	l = mem_alloc(sizeof(*l) + strlen(name) + 1);
	l->parent = parent;
	memcpy(l->name, name, strlen(name) + 1);
	l->ask = (struct fs_lookup){.done = lookup_done, .arg = l};
	if (!request_begin(&l->rq, s, req, lookup_cancel, lookup_free))
		return;
	s->ops->lookup(s->src, path, &l->ask);
	request_submitted(&l->rq);
}

void forget_op(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	tree_forget(session_of(req)->tree, ino, count);
	fuse_reply_none(req);
}

void forget_multi_op(fuse_req_t req, size_t count, struct fuse_forget_data *items)
{
	for (size_t i = 0; i < count; i++)
		tree_forget(session_of(req)->tree, items[i].ino, items[i].nlookup);
	fuse_reply_none(req);
}

void getattr_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_session *s = session_of(req);
	struct tree_info info;
	struct stat st;

	(void)fi;
	if (!tree_info(s->tree, ino, &info)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	fill_stat(s, &info, &st);
	fuse_reply_attr(req, &st, LASTING_TIMEOUT_S);
}

void readlink_op(fuse_req_t req, fuse_ino_t ino)
{
	struct fs_session *s = session_of(req);
	struct tree_pin pin = {0};

	/* Of an earlier process: the kernel looks the name up again. */
	if (tree_pin(s->tree, ino, &pin, NULL) < 0 || pin.hollow)
		fuse_reply_err(req, ESTALE);
	else if (pin.info.kind != FS_LINK)
		fuse_reply_err(req, EINVAL);
	else
		fuse_reply_readlink(req, pin.data);
	tree_unpin(s->tree, &pin);
}

void statfs_op(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st = {
		.f_bsize = BLOCK_SIZE, .f_frsize = BLOCK_SIZE, .f_namemax = NAME_LEN_MAX};

	(void)ino;
	st.f_files = tree_count(session_of(req)->tree);
	fuse_reply_statfs(req, &st);
}
