/* A read is cut to what the file has, turned into extents of the layer's tar and asked of the
 * source. */
#include "fs/forest_read.h"

#include "base/log.h"
#include "base/mem.h"
#include "fs/forest_look.h"
#include "fs/reading.h"

#include <errno.h>
#include <inttypes.h>

#define EXTENTS_MAX (MOUNT_READ_MAX / 512 + 2)

struct forest_reading {
	struct reading r;
	struct forest_tree *tree; /* pinned */
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

static void tell_error(const struct reading *r, const struct err *e)
{
	log_warn("read failed", "node=%" PRIx64 " off=%" PRIu64 " why=\"%s\"", r->id, r->off,
		 e->text);
}

static bool read_cancel(struct request *rq)
{
	struct reading *r = container_of(rq, struct reading, rq);

	return rq->s->forest_ops->read_cancel(rq->s->src, &r->ask);
}

static void read_free(struct request *rq)
{
	struct forest_reading *f = container_of(rq, struct forest_reading, r.rq);

	forest_unpin(rq->s->forest, f->tree);
	free(f);
}

/* Takes the place's tree over. */
static void ask(struct fs_session *s, fuse_req_t req, struct forest_place *at, uint64_t off,
		uint32_t len, const struct erofs_extent *x, unsigned count)
{
	struct forest_reading *f = mem_new(struct forest_reading);

	f->tree = at->tree;
	reading_init(&f->r, forest_id(at->tree, at->attr.nid), off, len, tell_error);
	if (!request_begin(&f->r.rq, s, req, read_cancel, read_free))
		return;
	s->forest_ops->read(s->src, f->tree->layer, x, count, &f->r.ask);
	request_submitted(&f->r.rq);
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
