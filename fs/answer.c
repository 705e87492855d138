/*
 * libfuse can splice by itself, but answers short when the file cannot be read to its end, and does
 * not say a request's number to others. So its ordinary reply is used, with a body that is only a
 * length; the session's write hook, on the same thread, puts the real bytes behind libfuse's
 * header.
 *
 * A reply once begun must end in some answer: what fails on the way is answered by the hook with
 * EIO.
 */
#include "fs/answer.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>

#define SMALL_MAX  (32u << 10) /* copied by way of the stack: cheaper than three calls */
#define PIPES_MAX  8	       /* kept when idle */
#define PIPE_BYTES (1u << 20)  /* as much as anybody may have (fs.pipe-max-size) */

struct pipe {
	struct pipe *next;
	int in, out;
};

/* What the hook is to write; set around a reply, on the replying thread's stack. */
struct body {
	const struct fs_extent *extents;
	unsigned count;
	uint32_t len;
	struct pipe *pipe; /* NULL = copy; the hook closes it when it is not clean any more */
	struct err err;
};

static _Thread_local struct body *current;

static void pipe_close(struct pipe *p)
{
	close(p->in);
	close(p->out);
	free(p);
}

/* NULL if there is none to be had. */
static struct pipe *pipe_get(struct fs_session *s)
{
	struct pipe *p;
	int fds[2];

	lock_take(&s->pipes_lock);
	p = s->pipes;
	if (p) {
		s->pipes = p->next;
		s->pipe_count--;
	}
	lock_drop(&s->pipes_lock);
	if (p)
		return p;
	if (atomic_load(&s->pipes_refused) || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return NULL;
	p = mem_new(struct pipe);
	p->out = fds[0];
	p->in = fds[1];
	if (fcntl(p->in, F_SETPIPE_SZ, PIPE_BYTES) < 0) {
		atomic_store(&s->pipes_refused, true);
		pipe_close(p);
		return NULL;
	}
	return p;
}

static void pipe_put(struct fs_session *s, struct pipe *p)
{
	lock_take(&s->pipes_lock);
	if (s->pipe_count < PIPES_MAX) {
		p->next = s->pipes;
		s->pipes = p;
		s->pipe_count++;
		p = NULL;
	}
	lock_drop(&s->pipes_lock);
	if (p)
		pipe_close(p);
}

void answer_pipes_release(struct fs_session *s)
{
	while (s->pipes) {
		struct pipe *p = s->pipes;

		s->pipes = p->next;
		pipe_close(p);
	}
}

/* All bytes of the extents, in order. */
static int gather(const struct fs_extent *extents, unsigned count, char *data, struct err *e)
{
	for (unsigned i = 0; i < count; i++) {
		for (uint32_t done = 0; done < extents[i].len;) {
			ssize_t n = pread(extents[i].fd, data + done, extents[i].len - done,
					  (off_t)(extents[i].off + done));

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return err_set(e, EIO, "the store's file cannot be read at %llu%s",
					       (unsigned long long)extents[i].off + done,
					       n == 0 ? " (it ends before)" : "");
			done += (uint32_t)n;
		}
		data += extents[i].len;
	}
	return 0;
}

/* Puts header and bytes into the pipe; false if not all of them went in. */
static bool fill_pipe(const struct body *b, const struct iovec *header)
{
	if (write(b->pipe->in, header->iov_base, header->iov_len) != (ssize_t)header->iov_len)
		return false;
	for (unsigned i = 0; i < b->count; i++) {
		off_t off = (off_t)b->extents[i].off;

		for (uint32_t left = b->extents[i].len; left > 0;) {
			ssize_t n = splice(b->extents[i].fd, &off, b->pipe->in, NULL, left,
					   SPLICE_F_NONBLOCK);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return false;
			left -= (uint32_t)n;
		}
	}
	return true;
}

static ssize_t write_copy(int fuse_fd, struct body *b, const struct iovec *header)
{
	cleanup(free_at) char *data = mem_alloc(b->len);
	struct iovec iov[2] = {*header, {.iov_base = data, .iov_len = b->len}};
	struct fuse_out_header failed = *(const struct fuse_out_header *)header->iov_base;

	if (gather(b->extents, b->count, data, &b->err) == 0)
		return writev(fuse_fd, iov, 2);
	failed.error = -EIO;
	failed.len = sizeof(failed);
	return write(fuse_fd, &failed, sizeof(failed));
}

bool answer_is_ours(void)
{
	return current != NULL;
}

ssize_t answer_write(int fuse_fd, const struct iovec *iov)
{
	struct body *b = current;
	size_t len = iov[0].iov_len + b->len;
	ssize_t n = -1;

	if (b->pipe && fill_pipe(b, &iov[0])) {
		n = splice(b->pipe->out, NULL, fuse_fd, NULL, len, 0);
		if (n == (ssize_t)len)
			return n;
	}
	if (b->pipe) {
		int code = errno;

		pipe_close(take_ptr(&b->pipe));
		errno = code;
		/* The asker has gone, or the mount. */
		if (n < 0 && (code == ENOENT || code == ENODEV))
			return -1;
	}
	return write_copy(fuse_fd, b, &iov[0]);
}

static int answer_small(fuse_req_t req, const struct fs_extent *extents, unsigned count,
			uint32_t len, struct err *e)
{
	char data[SMALL_MAX];
	int r = gather(extents, count, data, e);

	if (r < 0)
		fuse_reply_err(req, EIO);
	else
		fuse_reply_buf(req, data, len);
	return r;
}

int answer_extents(struct fs_session *s, fuse_req_t req, const struct fs_extent *extents,
		   unsigned count, uint32_t len, struct err *e)
{
	struct body b = {.extents = extents, .count = count, .len = len};
	struct iovec only_length = {.iov_len = len};
	uint64_t sum = 0;

	for (unsigned i = 0; i < count; i++)
		sum += extents[i].len;
	if (sum != len) {
		fuse_reply_err(req, EIO);
		return err_set(e, EIO, "the source gives %llu bytes of %u", (unsigned long long)sum,
			       len);
	}
	if (len <= SMALL_MAX)
		return answer_small(req, extents, count, len, e);
	b.pipe = pipe_get(s);
	current = &b;
	fuse_reply_iov(req, &only_length, 1);
	current = NULL;
	if (b.pipe)
		pipe_put(s, b.pipe);
	return b.err.code ? err_copy(e, &b.err) : 0;
}
