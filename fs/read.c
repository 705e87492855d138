/*
 * The answer is copied: pread(2) into a buffer that is used again, then one writev(2). Splicing was
 * measured too (docs/adr/0001-passthrough-and-libfuse.md) and is not faster.
 */
#include "fs/read.h"

#include "base/log.h"
#include "base/mem.h"
#include "fs/open.h"
#include "fs/request.h"

#include <errno.h>
#include <inttypes.h>

#define READ_MAX    (1u << 20)
#define SMALL_MAX   8192u /* answered from the stack */
#define BUFFERS_MAX 8	  /* kept when idle */

struct buffer {
	struct buffer *next;
	char data[READ_MAX];
};

struct reading {
	struct request rq;
	struct fs_read ask;
	struct handle *h;
	uint64_t off;
	uint32_t len;
};

static struct buffer *buffer_get(struct fs_session *s)
{
	struct buffer *b;

	lock_take(&s->buffers_lock);
	b = s->buffers;
	if (b) {
		s->buffers = b->next;
		s->buffer_count--;
	}
	lock_drop(&s->buffers_lock);
	return b ? b : mem_new(struct buffer);
}

static void buffer_put(struct fs_session *s, struct buffer *b)
{
	lock_take(&s->buffers_lock);
	if (s->buffer_count < BUFFERS_MAX) {
		b->next = s->buffers;
		s->buffers = b;
		s->buffer_count++;
		b = NULL;
	}
	lock_drop(&s->buffers_lock);
	free(b);
}

void read_buffers_release(struct fs_session *s)
{
	while (s->buffers) {
		struct buffer *b = s->buffers;

		s->buffers = b->next;
		free(b);
	}
}

static int gather(const struct reading *r, const struct fs_extent *extents, unsigned count,
		  char *data, struct err *e)
{
	uint32_t got = 0;

	for (unsigned i = 0; i < count; i++) {
		uint32_t end = got + extents[i].len;

		if (end < got || end > r->len)
			return err_set(e, EIO, "source gives more than was asked");
		while (got < end) {
			uint32_t done = extents[i].len - (end - got);
			ssize_t n = pread(extents[i].fd, data + got, end - got,
					  (off_t)(extents[i].off + done));

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return err_set(e, n < 0 ? errno : EIO, "read the store's file");
			got += (uint32_t)n;
		}
	}
	if (got != r->len)
		return err_set(e, EIO, "source gives %u bytes of %u", got, r->len);
	return 0;
}

static void reply_error(struct reading *r, const struct err *e)
{
	struct fs_session *s = r->rq.s;

	atomic_fetch_add(&s->stat.errors, 1);
	/* Once per open file: a reader may go on asking. */
	if (!atomic_exchange(&r->h->error_told, true)) {
		cleanup(free_at) char *path = tree_path(s->tree, r->h->pin.info.id, NULL);

		log_warn("read failed", "path=\"%s\" off=%" PRIu64 " why=\"%s\"", path ? path : "",
			 r->off, e->text);
	}
	fuse_reply_err(r->rq.req, session_errno(e));
}

static void reply_data(struct reading *r, const struct fs_extent *extents, unsigned count)
{
	struct fs_session *s = r->rq.s;
	char small[SMALL_MAX];
	struct buffer *b = r->len > sizeof(small) ? buffer_get(s) : NULL;
	char *data = b ? b->data : small;
	struct err e = {0};

	if (gather(r, extents, count, data, &e) < 0) {
		reply_error(r, &e);
	} else {
		atomic_fetch_add(&s->stat.bytes, r->len);
		fuse_reply_buf(r->rq.req, data, r->len);
	}
	if (b)
		buffer_put(s, b);
}

static void read_done(struct fs_read *ask, const struct fs_extent *extents, unsigned count,
		      const struct err *e)
{
	struct reading *r = ask->arg;

	request_answering(&r->rq);
	if (e)
		reply_error(r, e);
	else
		reply_data(r, extents, count);
	request_answered(&r->rq);
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

void read_op(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs_session *s = session_of(req);
	struct handle *h = handle_of(fi);
	uint64_t left = 0;
	struct reading *r;

	(void)ino;
	atomic_fetch_add(&s->stat.reads, 1);
	if ((uint64_t)off < h->pin.info.size)
		left = h->pin.info.size - (uint64_t)off;
	if (size > left)
		size = left;
	if (size > READ_MAX)
		size = READ_MAX;
	if (size == 0 || h->pin.data) {
		fuse_reply_buf(req, size ? (const char *)h->pin.data + off : NULL, size);
		return;
	}
	r = mem_new(struct reading);
	r->h = h;
	r->off = (uint64_t)off;
	r->len = (uint32_t)size;
	r->ask = (struct fs_read){.done = read_done, .arg = r};
	if (!request_begin(&r->rq, s, req, read_cancel, read_free))
		return;
	s->ops->read(s->src, h->pin.blob, r->off, r->len, &r->ask);
	request_submitted(&r->rq);
}
