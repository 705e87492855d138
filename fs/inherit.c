/*
 * Each step is a request of its own on the same question of the kernel's: it ends without an answer
 * and the next begins, so that interrupts, deadlines and the session's end are request.c's alone.
 */
#include "fs/inherit.h"

#include "base/log.h"
#include "base/mem.h"
#include "fs/request.h"

#include <errno.h>

/* ---- nodes */

struct restoring {
	struct request rq;
	struct fs_lookup ask;
	struct again again;
};

static void tell_error(struct fs_session *s, uint64_t id, const struct err *e)
{
	atomic_fetch_add(&s->stat.errors, 1);
	/* Once per file in a row: a reader may go on asking. */
	if (atomic_exchange(&s->error_told_id, id) != id) {
		cleanup(free_at) char *path = tree_path(s->tree, id, NULL);

		log_warn("file of an earlier process is not to be had", "path=\"%s\" why=\"%s\"",
			 path ? path : "", e->text);
	}
}

static void restore_done(struct fs_lookup *ask, const struct fs_entry *entry, const struct err *e)
{
	struct restoring *r = ask->arg;
	struct fs_session *s = r->rq.s;
	fuse_req_t req = r->rq.req;
	struct err mine = {0};
	int result;

	request_answering(&r->rq);
	result = e ? err_copy(&mine, e) : tree_restore(s->tree, r->again.ino, entry, &mine);
	if (result < 0) {
		tell_error(s, r->again.ino, &mine);
		fuse_reply_err(req, session_errno(&mine));
	} else {
		r->again.call(req, &r->again);
	}
	request_answered(&r->rq);
}

static bool restore_cancel(struct request *rq)
{
	struct restoring *r = container_of(rq, struct restoring, rq);

	return rq->s->ops->lookup_cancel(rq->s->src, &r->ask);
}

static void restore_free(struct request *rq)
{
	free(container_of(rq, struct restoring, rq));
}

void inherit_node(fuse_req_t req, const struct again *a)
{
	struct fs_session *s = session_of(req);
	cleanup(free_at) char *path = tree_path(s->tree, a->ino, NULL);
	struct restoring *r;

	if (!path) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	r = mem_new(struct restoring);
	r->again = *a;
	r->ask = (struct fs_lookup){.done = restore_done, .arg = r};
	if (!request_begin(&r->rq, s, req, restore_cancel, restore_free))
		return;
	s->ops->lookup(s->src, path, &r->ask);
	request_submitted(&r->rq);
}

/* ---- handles */

struct adopting {
	struct request rq;
	struct fs_open ask;
	struct handle *h;
	struct again again;
};

/* With opens_lock. */
static struct handle *find(struct fs_session *s, uint64_t id)
{
	list_each (it, &s->adopted) {
		struct handle *h = list_entry(it, struct handle, link);

		if (h->pin.info.id == id)
			return h;
	}
	return NULL;
}

struct handle *inherited_handle(struct fs_session *s, uint64_t id)
{
	lock_guard(&s->opens_lock);
	return find(s, id);
}

/* Takes the handle over; another may have been quicker. */
static void adopt(struct fs_session *s, struct handle *h)
{
	lock_take(&s->opens_lock);
	if (!find(s, h->pin.info.id))
		list_push_back(&s->adopted, &take_ptr(&h)->link);
	lock_drop(&s->opens_lock);
	if (h)
		handle_free(s, h);
}

static void adopt_done(struct fs_open *ask, const struct err *e)
{
	struct adopting *a = ask->arg;
	struct handle *h = take_ptr(&a->h);
	struct fs_session *s = a->rq.s;
	fuse_req_t req = a->rq.req;

	request_answering(&a->rq);
	if (e) {
		tell_error(s, a->again.ino, e);
		handle_free(s, h);
		fuse_reply_err(req, session_errno(e));
	} else {
		h->blob_open = true;
		adopt(s, h);
		a->again.call(req, &a->again);
	}
	request_answered(&a->rq);
}

static bool adopt_cancel(struct request *rq)
{
	struct adopting *a = container_of(rq, struct adopting, rq);

	return rq->s->ops->open_cancel(rq->s->src, &a->ask);
}

static void adopt_free(struct request *rq)
{
	struct adopting *a = container_of(rq, struct adopting, rq);

	if (a->h)
		handle_free(rq->s, a->h);
	free(a);
}

void inherit_handle(fuse_req_t req, const struct again *again)
{
	struct fs_session *s = session_of(req);
	struct tree_pin pin = {0};
	struct adopting *a;
	struct handle *h;

	if (tree_pin(s->tree, again->ino, &pin, NULL) < 0) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (pin.hollow) {
		tree_unpin(s->tree, &pin);
		inherit_node(req, again);
		return;
	}
	h = mem_new(struct handle);
	list_init(&h->link);
	h->pin = pin;
	if (!pin.blob) {
		adopt(s, h);
		again->call(req, again);
		return;
	}
	a = mem_new(struct adopting);
	a->h = h;
	a->again = *again;
	a->ask = (struct fs_open){.done = adopt_done, .arg = a};
	if (!request_begin(&a->rq, s, req, adopt_cancel, adopt_free))
		return;
	s->ops->open(s->src, pin.blob, &a->ask);
	request_submitted(&a->rq);
}

void inherited_release(struct fs_session *s, uint64_t id, bool passthrough)
{
	struct tree_pin pin = {0};
	struct handle *last = NULL;

	if (tree_pin(s->tree, id, &pin, NULL) < 0)
		return;
	lock_take(&s->opens_lock);
	if (passthrough) {
		opens_leave_passthrough(s, pin.opens);
	} else {
		if (pin.opens->cached > 0)
			pin.opens->cached--;
		if (pin.opens->inherited > 0 && --pin.opens->inherited == 0)
			last = find(s, id);
		if (last)
			list_remove(&last->link);
	}
	lock_drop(&s->opens_lock);
	if (last)
		handle_free(s, last);
	tree_unpin(s->tree, &pin);
}

void inherited_free(struct fs_session *s)
{
	while (!list_empty(&s->adopted)) {
		struct handle *h = list_entry(s->adopted.next, struct handle, link);

		list_remove(&h->link);
		handle_free(s, h);
	}
}
