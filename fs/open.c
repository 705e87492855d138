/*
 * The kernel wants all opens of an inode to agree: either it reads the store's file itself
 * (passthrough, one backing id for all) or it asks us and keeps a cache. So:
 *
 *	open while		complete blob		incomplete blob
 *	nothing is open		passthrough		cached
 *	passthrough is open	passthrough, same id	(cannot be: completeness stays)
 *	cached is open		cached			cached
 *
 * The counts lag behind the kernel's (RELEASE comes later than close), which is the safe side.
 */
#include "fs/open.h"

#include "base/log.h"
#include "base/mem.h"
#include "fs/inherit.h"
#include "fs/request.h"

#include <errno.h>
#include <fcntl.h>

struct opening {
	struct request rq;
	struct fs_open ask;
	struct handle *h;
	struct fuse_file_info fi;
};

void handle_free(struct fs_session *s, struct handle *h)
{
	if (h->blob_open)
		s->ops->close(s->src, h->pin.blob);
	tree_unpin(s->tree, &h->pin);
	free(h);
}

/* Decides and counts. True: *out is the answer for a passthrough open. e is set when passthrough
 * turned out to be impossible. */
static bool count_in(struct fs_session *s, struct handle *h, struct passthrough_open_out *out,
		     struct err *e)
{
	struct ledger_opens *opens = h->pin.opens;
	int fd = h->pin.blob ? s->ops->complete_fd(s->src, h->pin.blob) : -1;

	/* The ioctl stays under the lock: two first opens must not register two backings. It only
	 * enters the descriptor in a table. */
	lock_guard(&s->opens_lock);
	list_push_back(&s->handles, &h->link);
	if (s->passthrough.negotiated && !s->passthrough_refused && fd >= 0 && opens->cached == 0 &&
	    opens->passthrough == 0 &&
	    passthrough_backing_open(s->fuse_fd, fd, &opens->backing_id, e) < 0)
		s->passthrough_refused = true;
	h->passthrough = opens->backing_id > 0;
	if (!h->passthrough) {
		opens->cached++;
		return false;
	}
	opens->passthrough++;
	*out = passthrough_open_answer(handle_number(s, h) | 1, opens->backing_id);
	return true;
}

void opens_leave_passthrough(struct fs_session *s, struct ledger_opens *opens)
{
	if (opens->passthrough == 0 || --opens->passthrough > 0)
		return;
	passthrough_backing_close(s->fuse_fd, opens->backing_id);
	opens->backing_id = 0;
}

static void count_out(struct fs_session *s, struct handle *h)
{
	struct ledger_opens *opens = h->pin.opens;

	lock_guard(&s->opens_lock);
	list_remove(&h->link);
	if (h->passthrough)
		opens_leave_passthrough(s, opens);
	else
		opens->cached--;
}

static void reply_open(struct fs_session *s, fuse_req_t req, struct handle *h,
		       struct fuse_file_info *fi)
{
	struct passthrough_open_out out;
	struct err e = {0};
	int r;

	if (count_in(s, h, &out, &e)) {
		atomic_fetch_add(&s->stat.passthrough_opens, 1);
		r = fuse_reply_buf(req, (const char *)&out, sizeof(out));
	} else {
		fi->fh = handle_number(s, h);
		fi->keep_cache = 1; /* a node's content never changes */
		r = fuse_reply_open(req, fi);
	}
	if (e.code)
		log_info("passthrough is off", "why=\"%s\"", e.text);
	/* The opener was interrupted: no RELEASE will come. */
	if (r < 0) {
		count_out(s, h);
		handle_free(s, h);
	}
}

static void open_done(struct fs_open *ask, const struct err *e)
{
	struct opening *o = ask->arg;
	struct handle *h = take_ptr(&o->h);
	struct fs_session *s = o->rq.s;

	request_answering(&o->rq);
	if (e) {
		atomic_fetch_add(&s->stat.errors, 1);
		handle_free(s, h);
		fuse_reply_err(o->rq.req, session_errno(e));
	} else {
		h->blob_open = true;
		reply_open(s, o->rq.req, h, &o->fi);
	}
	request_answered(&o->rq);
}

static bool open_cancel(struct request *rq)
{
	struct opening *o = container_of(rq, struct opening, rq);

	return rq->s->ops->open_cancel(rq->s->src, &o->ask);
}

static void open_free(struct request *rq)
{
	struct opening *o = container_of(rq, struct opening, rq);

	if (o->h)
		handle_free(rq->s, o->h);
	free(o);
}

static void open_again(fuse_req_t req, const struct again *a)
{
	struct fuse_file_info fi = a->fi;

	open_op(req, a->ino, &fi);
}

void open_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_session *s = session_of(req);
	struct tree_pin pin = {0};
	struct opening *o;
	struct handle *h;

	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		fuse_reply_err(req, EROFS);
		return;
	}
	if (tree_pin(s->tree, ino, &pin, NULL) < 0) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (pin.hollow) {
		tree_unpin(s->tree, &pin);
		inherit_node(req, &(struct again){.call = open_again, .ino = ino, .fi = *fi});
		return;
	}
	h = mem_new(struct handle);
	list_init(&h->link);
	h->pin = pin;
	if (!pin.blob) {
		reply_open(s, req, h, fi);
		return;
	}
	o = mem_new(struct opening);
	o->h = h;
	o->fi = *fi;
	o->ask = (struct fs_open){.done = open_done, .arg = o};
	if (!request_begin(&o->rq, s, req, open_cancel, open_free))
		return;
	s->ops->open(s->src, pin.blob, &o->ask);
	request_submitted(&o->rq);
}

void release_op(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_session *s = session_of(req);
	struct handle *h = handle_of(s, fi);

	/* In this order: a process killed in between counts one too many, not one too few. */
	fuse_reply_err(req, 0);
	if (h) {
		count_out(s, h);
		handle_free(s, h);
	} else {
		inherited_release(s, ino, fi->fh & 1);
	}
}

void handles_release(struct fs_session *s)
{
	bool left = atomic_load(&s->left_to_next);

	while (!list_empty(&s->handles)) {
		struct handle *h = list_entry(s->handles.next, struct handle, link);

		/* What the next process gets is counted for the kernel. */
		if (left)
			list_remove(&h->link);
		else
			count_out(s, h);
		handle_free(s, h);
	}
	inherited_free(s);
}
