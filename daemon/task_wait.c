/* Waiting for a task. Must not know: what for. */
#include "daemon/task_wait.h"

#include "base/clock.h"
#include "base/lock.h"

#include <errno.h>
#include <unistd.h>

#define RANK_WAIT 9
#define LOOK_MS	  200 /* how often a waiting worker looks whether we stop */

struct wait {
	struct task_watch watch;
	struct lock lock;
	struct cond cond;
	bool failed; /* lock */
	struct err err;
};

static void task_changed(struct task_watch *w, uint32_t index, const struct err *e)
{
	struct wait *wait = w->arg;

	lock_guard(&wait->lock);
	if (index == UINT32_MAX) {
		wait->failed = e != NULL;
		if (e)
			wait->err = *e;
	}
	cond_wake_all(&wait->cond);
}

/* index UINT32_MAX: the whole. */
static bool is_there(struct task *t, uint32_t index)
{
	return index == UINT32_MAX ? task_complete_fd(t) >= 0 : task_piece_ready(t, index);
}

static void wait_begin(struct wait *w, struct task *t)
{
	*w = (struct wait){.watch = {.changed = task_changed, .arg = w}};
	lock_init(&w->lock, RANK_WAIT);
	cond_init(&w->cond);
	task_watch(t, &w->watch);
}

static void wait_end(struct wait *w, struct task *t)
{
	task_unwatch(t, &w->watch);
	cond_release(&w->cond);
	lock_release(&w->lock);
}

static int wait_for(struct wait *w, struct task *t, uint32_t index, const struct task_wait *how,
		    struct err *e)
{
	int r = 0;

	while (!is_there(t, index) && r == 0) {
		lock_guard(&w->lock);
		if (!w->failed)
			cond_wait_until(&w->cond, &w->lock, clock_ms() + LOOK_MS);
		if (w->failed)
			r = err_copy(e, &w->err);
		else if (__atomic_load_n(how->stopping, __ATOMIC_RELAXED))
			r = err_set(e, ECANCELED, "the daemon stops");
		else if (clock_ms() >= how->deadline_ms)
			r = err_set(e, ETIMEDOUT, "wait for content");
	}
	return r;
}

int task_wait_complete(struct task *t, enum task_priority p, const struct task_wait *how,
		       int *fd_out, struct err *e)
{
	struct wait w;
	int r;

	wait_begin(&w, t);
	task_want_all(t, p);
	r = wait_for(&w, t, UINT32_MAX, how, e);
	wait_end(&w, t);
	*fd_out = r == 0 ? task_complete_fd(t) : -1;
	return r;
}

int task_wait_piece(struct task *t, uint32_t index, const struct task_wait *how, struct err *e)
{
	struct wait w;
	int r;

	if (task_piece_ready(t, index))
		return 0;
	wait_begin(&w, t);
	r = wait_for(&w, t, index, how, e);
	wait_end(&w, t);
	return r;
}

/* ---- reading */

struct reading {
	struct waiter waiter;
	struct lock lock;
	struct cond cond;
	/* lock */
	bool done, failed;
	struct extent extent;
	struct err err;
};

static void read_done(struct waiter *w, const struct extent *x, const struct err *e)
{
	struct reading *r = w->arg;
	struct extent kept = x ? extent_keep(x) : (struct extent){.fd = -1};

	lock_guard(&r->lock);
	r->done = true;
	r->failed = e != NULL;
	if (e)
		r->err = *e;
	r->extent = kept;
	cond_wake_all(&r->cond);
}

static int copy_extent(const struct extent *x, char *data, struct err *e)
{
	for (uint32_t at = 0; at < x->len;) {
		ssize_t n = pread(x->fd, data + at, x->len - at, (off_t)(x->off + at));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "read from the store");
		at += (uint32_t)n;
	}
	return 0;
}

/* Whoever takes the question back when we stop has no answer to wait for. */
static void wait_for_answer(struct reading *r, const bool *stopping)
{
	lock_take(&r->lock);
	while (!r->done) {
		cond_wait_until(&r->cond, &r->lock, clock_ms() + LOOK_MS);
		if (r->done || !__atomic_load_n(stopping, __ATOMIC_RELAXED))
			continue;
		lock_drop(&r->lock);
		bool mine = task_read_cancel(&r->waiter);
		lock_take(&r->lock);
		if (mine) {
			r->done = r->failed = true;
			err_set(&r->err, ECANCELED, "the daemon stops");
		}
	}
	lock_drop(&r->lock);
}

/* Inside one piece. The wait has its end: task_read() answers always, with ETIMEDOUT if need be. */
static int read_part(struct task *t, uint64_t off, char *data, uint32_t len, bool follows,
		     const bool *stopping, struct err *e)
{
	struct reading r = {.waiter = {.done = read_done, .arg = &r, .follows = follows}};
	int result;

	lock_init(&r.lock, RANK_WAIT);
	cond_init(&r.cond);
	task_read(t, off, len, &r.waiter, 0);
	wait_for_answer(&r, stopping);
	if (r.failed) {
		result = err_copy(e, &r.err);
	} else {
		result = copy_extent(&r.extent, data, e);
		extent_release(&r.extent);
	}
	cond_release(&r.cond);
	lock_release(&r.lock);
	return result;
}

static int read_parts(struct task *t, uint64_t off, void *data, size_t len, bool follows,
		      const bool *stopping, struct err *e)
{
	const struct geometry *g = &task_meta(t)->geometry;
	char *at = data;

	while (len > 0) {
		uint32_t index = geometry_index(g, off);
		uint64_t left = geometry_offset(g, index) + geometry_length(g, index) - off;
		uint32_t n = (uint32_t)(len < left ? len : left);
		int r = read_part(t, off, at, n, follows, stopping, e);

		if (r < 0)
			return r;
		off += n;
		at += n;
		len -= n;
	}
	return 0;
}

int task_read_wait(struct task *t, uint64_t off, void *data, size_t len, const bool *stopping,
		   struct err *e)
{
	return read_parts(t, off, data, len, false, stopping, e);
}

int task_follow_wait(struct task *t, uint64_t off, void *data, size_t len, const bool *stopping,
		     struct err *e)
{
	return read_parts(t, off, data, len, true, stopping, e);
}
