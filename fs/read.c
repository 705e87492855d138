/* A read is cut to what the file has and asked of the source. */
#include "fs/read.h"

#include "base/log.h"
#include "base/mem.h"
#include "fs/inherit.h"
#include "fs/open.h"
#include "fs/reading.h"

#include <errno.h>
#include <inttypes.h>

static void tell_error(const struct reading *r, const struct err *e)
{
	cleanup(free_at) char *path = tree_path(r->rq.s->tree, r->id, NULL);

	log_warn("read failed", "path=\"%s\" off=%" PRIu64 " why=\"%s\"", path ? path : "", r->off,
		 e->text);
}

static bool read_cancel(struct request *rq)
{
	struct reading *r = container_of(rq, struct reading, rq);

	return rq->s->ops->read_cancel(rq->s->src, &r->ask);
}

static void read_free(struct request *rq)
{
	free(container_of(rq, struct reading, rq));
}

static void read_again(fuse_req_t req, const struct again *a)
{
	struct fuse_file_info fi = a->fi;

	read_op(req, a->ino, a->size, a->off, &fi);
}

void read_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs_session *s = session_of(req);
	struct handle *h = handle_of(s, fi);
	uint64_t left = 0;
	struct reading *r;

	if (!h)
		h = inherited_handle(s, ino);
	if (!h) {
		inherit_handle(req, &(struct again){.call = read_again,
						    .ino = ino,
						    .size = size,
						    .off = off,
						    .fi = *fi});
		return;
	}
	atomic_fetch_add(&s->stat.reads, 1);
	if ((uint64_t)off < h->pin.info.size)
		left = h->pin.info.size - (uint64_t)off;
	if (size > left)
		size = left;
	if (size > MOUNT_READ_MAX)
		size = MOUNT_READ_MAX;
	if (size == 0 || h->pin.data) {
		fuse_reply_buf(req, size ? (const char *)h->pin.data + off : NULL, size);
		return;
	}
	r = mem_new(struct reading);
	reading_init(r, h->pin.info.id, (uint64_t)off, (uint32_t)size, tell_error);
	if (!request_begin(&r->rq, s, req, read_cancel, read_free))
		return;
	s->ops->read(s->src, h->pin.blob, r->off, r->len, &r->ask);
	request_submitted(&r->rq);
}
