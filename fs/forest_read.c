/* A read is cut to what the file has, turned into extents of the layer's tar and asked of the
 * source. */
#include "fs/forest_read.h"

#include "base/log.h"
#include "base/mem.h"
#include "fs/answer.h"
#include "fs/forest_look.h"
#include "fs/request.h"

#include <errno.h>
#include <inttypes.h>

#define EXTENTS_MAX (MOUNT_READ_MAX / 512 + 2)

struct reading {
	struct request rq;
	struct fs_read ask;
	struct forest_tree *tree; /* pinned */
	uint64_t ino, off;
	uint32_t len;
};

/* ENOSYS: "no need to ask", for files as for directories. The kernel keeps what it has read of them
 * then, and of directories their names, too (libfuse's FUSE_CAP_NO_OPEN_SUPPORT). Writing is
 * refused by the mount. */
void forest_open_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, ENOSYS);
}

/* After the reply. */
static void tell_error(const struct reading *r, const struct err *e)
{
	struct fs_session *s = r->rq.s;

	atomic_fetch_add(&s->stat.errors, 1);
	/* Once per file in a row: a reader may go on asking. */
	if (atomic_exchange(&s->error_told_id, r->ino) != r->ino)
		log_warn("read failed", "node=%" PRIx64 " off=%" PRIu64 " why=\"%s\"", r->ino,
			 r->off, e->text);
}

static void reply_data(struct reading *r, const struct fs_extent *extents, unsigned count)
{
	struct err e = {0};

	if (answer_extents(r->rq.s, r->rq.req, extents, count, r->len, &e) < 0)
		tell_error(r, &e);
	else
		atomic_fetch_add(&r->rq.s->stat.bytes, r->len);
}

static void read_done(struct fs_read *ask, const struct fs_extent *extents, unsigned count,
		      const struct err *e)
{
	struct reading *r = ask->arg;

	request_answering(&r->rq);
	if (e) {
		fuse_reply_err(r->rq.req, session_errno(e));
		tell_error(r, e);
	} else {
		reply_data(r, extents, count);
	}
	request_answered(&r->rq);
}

static bool read_cancel(struct request *rq)
{
	struct reading *r = container_of(rq, struct reading, rq);

	return rq->s->forest_ops->read_cancel(rq->s->src, &r->ask);
}

static void read_free(struct request *rq)
{
	struct reading *r = container_of(rq, struct reading, rq);

	forest_unpin(rq->s->forest, r->tree);
	free(r);
}

/* Takes the place's tree over. */
static void ask(struct fs_session *s, fuse_req_t req, struct forest_place *at, uint64_t off,
		uint32_t len, const struct erofs_extent *x, unsigned count)
{
	struct reading *r = mem_new(struct reading);

	r->tree = at->tree;
	r->ino = forest_id(at->tree, at->attr.nid);
	r->off = off;
	r->len = len;
	r->ask = (struct fs_read){.done = read_done, .arg = r};
	if (!request_begin(&r->rq, s, req, read_cancel, read_free))
		return;
	s->forest_ops->read(s->src, r->tree->layer, x, count, &r->ask);
	request_submitted(&r->rq);
}

void forest_read_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	struct fs_session *s = session_of(req);
	struct erofs_extent x[EXTENTS_MAX];
	struct forest_place at;
	struct err e = {0};
	uint64_t left = 0;
	unsigned count = 0;
	int r = forest_find(s, ino, &at, &e);

	(void)fi;
	atomic_fetch_add(&s->stat.reads, 1);
	if (r == 0 && !at.tree)
		r = err_set(&e, EISDIR, "the root");
	if (r == 0 && (uint64_t)off < at.attr.size)
		left = at.attr.size - (uint64_t)off;
	if (size > left)
		size = left;
	if (size > MOUNT_READ_MAX)
		size = MOUNT_READ_MAX;
	if (r == 0 && size > 0)
		r = erofs_tree_extents(at.tree->tree, &at.attr, (uint64_t)off, (uint32_t)size, x,
				       EXTENTS_MAX, &count, &e);
	if (r == 0 && size > 0) {
		ask(s, req, &at, (uint64_t)off, (uint32_t)size, x, count);
		return;
	}
	forest_unpin(s->forest, at.tree);
	if (r < 0)
		forest_reply_err(s, req, ino, &e);
	else
		fuse_reply_buf(req, NULL, 0);
}
