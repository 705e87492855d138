/* The one place that knows how an interrupt, a deadline, the session's end and the source's answer
 * meet. At most one of them replies; the source is asked to take a request back at most once. */
#include "fs/request.h"

#include "base/clock.h"

#include <errno.h>

/* With the lock held. */
static bool may_free(const struct request *rq)
{
	return rq->submitted && rq->answered && !rq->cancelling;
}

static void free_request(struct request *rq)
{
	struct fs_session *s = rq->s;

	rq->free(rq);
	lock_take(&s->requests_lock);
	s->request_count--;
	cond_wake_all(&s->requests_cond);
	lock_drop(&s->requests_lock);
}

/* With the lock held: true if the caller may go on to take it back. */
static bool begin_cancel(struct request *rq)
{
	if (rq->answering || rq->tried)
		return false;
	rq->tried = rq->cancelling = true;
	return true;
}

/* The session ends before there is an answer. */
static void reply_end(struct fs_session *s, fuse_req_t req)
{
	if (atomic_load(&s->left_to_next))
		fuse_reply_none(req);
	else
		fuse_reply_err(req, EIO);
}

static void cancel(struct request *rq, int code, bool in_interrupt)
{
	struct fs_session *s = rq->s;
	bool taken = rq->cancel(rq), gone;

	if (taken) {
		atomic_fetch_add(code == EINTR ? &s->stat.interrupted : &s->stat.errors, 1);
		lock_take(&s->requests_lock);
		rq->answering = true;
		list_remove(&rq->link);
		lock_drop(&s->requests_lock);
		/* libfuse calls the interrupt function under a lock that this would take. */
		if (!in_interrupt)
			fuse_req_interrupt_func(rq->req, NULL, NULL);
		if (code == EIO)
			reply_end(s, rq->req);
		else
			fuse_reply_err(rq->req, code);
	}
	lock_take(&s->requests_lock);
	rq->answered |= taken;
	rq->cancelling = false;
	gone = may_free(rq);
	lock_drop(&s->requests_lock);
	if (gone)
		free_request(rq);
}

static void on_interrupt(fuse_req_t req, void *arg)
{
	struct request *rq = arg;
	struct fs_session *s = rq->s;
	bool go = false;

	(void)req;
	lock_take(&s->requests_lock);
	rq->interrupted = true;
	if (rq->submitted)
		go = begin_cancel(rq);
	lock_drop(&s->requests_lock);
	if (go)
		cancel(rq, EINTR, true);
}

bool request_begin(struct request *rq, struct fs_session *s, fuse_req_t req,
		   bool (*cancel_fn)(struct request *), void (*free_fn)(struct request *))
{
	rq->s = s;
	rq->req = req;
	rq->cancel = cancel_fn;
	rq->free = free_fn;
	list_init(&rq->link);
	lock_take(&s->requests_lock);
	s->request_count++;
	lock_drop(&s->requests_lock);
	if (atomic_load(&s->stopping)) {
		reply_end(s, req);
		free_request(rq);
		return false;
	}
	fuse_req_interrupt_func(req, on_interrupt, rq);
	return true;
}

void request_submitted(struct request *rq)
{
	struct fs_session *s = rq->s;
	bool gone, stopping, back = false;

	lock_take(&s->requests_lock);
	stopping = atomic_load(&s->stopping);
	rq->submitted = true;
	gone = may_free(rq);
	if (!rq->answering) {
		rq->deadline_ms = clock_ms() + s->read_timeout_ms;
		list_push_back(&s->pending, &rq->link);
		back = (rq->interrupted || stopping) && begin_cancel(rq);
		if (!s->sweeping && !stopping) {
			timer_arm(&s->sweep, s->read_timeout_ms);
			s->sweeping = true;
		}
		atomic_fetch_add(&s->stat.waits, 1);
	}
	lock_drop(&s->requests_lock);
	if (gone)
		free_request(rq);
	else if (back)
		cancel(rq, stopping ? EIO : EINTR, false);
}

void request_answering(struct request *rq)
{
	struct fs_session *s = rq->s;

	lock_take(&s->requests_lock);
	rq->answering = true;
	list_remove(&rq->link);
	lock_drop(&s->requests_lock);
	/* Waits for an interrupt function that runs now; none will come afterwards. */
	fuse_req_interrupt_func(rq->req, NULL, NULL);
}

void request_answered(struct request *rq)
{
	struct fs_session *s = rq->s;
	bool gone;

	lock_take(&s->requests_lock);
	rq->answered = true;
	gone = may_free(rq);
	lock_drop(&s->requests_lock);
	if (gone)
		free_request(rq);
}

/* The oldest that may be taken back and whose deadline is not after until_ms. */
static struct request *next_due(struct fs_session *s, int64_t until_ms)
{
	lock_guard(&s->requests_lock);
	list_each (it, &s->pending) {
		struct request *rq = list_entry(it, struct request, link);

		if (rq->deadline_ms > until_ms)
			break;
		if (begin_cancel(rq))
			return rq;
	}
	return NULL;
}

/* With the lock held: arms the timer for the oldest that may still be taken back. */
static void rearm(struct fs_session *s)
{
	s->sweeping = false;
	if (atomic_load(&s->stopping))
		return;
	list_each (it, &s->pending) {
		struct request *rq = list_entry(it, struct request, link);
		int64_t left_ms = rq->deadline_ms - clock_ms();

		if (rq->tried)
			continue;
		timer_arm(&s->sweep, left_ms > 0 ? left_ms : 0);
		s->sweeping = true;
		return;
	}
}

void requests_sweep(struct timer *t)
{
	struct fs_session *s = t->arg;
	struct request *rq;

	while ((rq = next_due(s, clock_ms())))
		cancel(rq, ETIMEDOUT, false);
	lock_take(&s->requests_lock);
	rearm(s);
	lock_drop(&s->requests_lock);
}

void requests_drain(struct fs_session *s)
{
	struct request *rq;

	while ((rq = next_due(s, INT64_MAX)))
		cancel(rq, EIO, false);
	timer_cancel(&s->sweep);
	lock_take(&s->requests_lock);
	while (s->request_count > 0)
		cond_wait(&s->requests_cond, &s->requests_lock);
	lock_drop(&s->requests_lock);
}
