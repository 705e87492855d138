/*
 * Opens. Those that ask alike share one opening: looked for in the store by a local worker, then in
 * the cluster and at the origin by one that may wait for the network. Whoever finds the task first
 * answers everybody who waits for that id, also those who asked otherwise. A failure is remembered
 * for a second, so that a storm does not reach the origin.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/resolve.h"
#include "daemon/task.h"
#include "daemon/tasks_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OPENS_MAX	65536
#define FAILURE_KEPT_MS 1000

enum { OPEN_WAITING = 1, OPEN_ANSWERED };

/* One question, and all who asked it. */
struct opening {
	struct tasks *tasks;
	struct request *rq;
	char key[STORE_ID_LEN + 20];
	/* tasks.lock */
	struct list opens;
	struct list link; /* in opening_list */
	bool running;
	struct err failed; /* code != 0: why it failed */
	int64_t forget_ms; /* ... and until when that is the answer */
};

/* ---- with tasks.lock */

static void opening_free(struct tasks *ts, struct opening *op)
{
	map_remove(ts->openings, op->key);
	list_remove(&op->link);
	request_free(op->rq);
	free(op);
}

static void claim(struct tasks *ts, struct task_open *o)
{
	o->state = OPEN_ANSWERED;
	list_remove(&o->link);
	ts->open_count--;
}

static void claim_all(struct tasks *ts, struct opening *op, struct list *out)
{
	while (!list_empty(&op->opens)) {
		struct task_open *o = list_entry(op->opens.next, struct task_open, link);

		claim(ts, o);
		list_push_back(out, &o->link);
	}
}

/* ---- answering; without lock */

static void answer_all(struct list *opens, struct task *t, const struct err *e)
{
	for (struct list *l = list_pop_front(opens); l; l = list_pop_front(opens)) {
		struct task_open *o = list_entry(l, struct task_open, link);

		timer_cancel(&o->timer);
		if (t)
			task_ref(t);
		o->done(o, t, e);
	}
}

static void expire(struct timer *timer)
{
	struct task_open *o = timer->arg;
	struct tasks *ts = o->tasks;
	struct err e = {0};

	lock_take(&ts->lock);
	if (o->state != OPEN_WAITING) {
		lock_drop(&ts->lock);
		return;
	}
	claim(ts, o);
	lock_drop(&ts->lock);
	err_set(&e, ETIMEDOUT, "it took too long to find out what the task is");
	o->done(o, NULL, &e);
}

static void fail(struct opening *op, const struct err *e)
{
	struct tasks *ts = op->tasks;
	struct list answered = LIST_INIT(answered);

	lock_take(&ts->lock);
	claim_all(ts, op, &answered);
	op->running = false;
	op->failed = *e;
	op->forget_ms = clock_ms() + FAILURE_KEPT_MS;
	if (op->rq->local_only || e->code == ECANCELED || e->code == EBUSY)
		opening_free(ts, op);
	lock_drop(&ts->lock);
	answer_all(&answered, NULL, e);
}

/* With tasks.lock: everybody who asks for the id of t, and what they brought along. */
static void claim_all_of_id(struct tasks *ts, struct task *t, const struct opening *op,
			    struct list *out)
{
	list_each_safe (it, &ts->opening_list) {
		struct opening *other = list_entry(it, struct opening, link);

		if (strcmp(other->rq->id, op->rq->id) != 0)
			continue;
		if (other == op || !list_empty(&other->opens))
			task_apply(t, other->rq);
		claim_all(ts, other, out);
		if (other != op && !other->running)
			opening_free(ts, other);
	}
}

/* st was found: the task enters the table, and all who ask for its id are answered. */
static void succeed(struct opening *op, struct store_task *st)
{
	struct tasks *ts = op->tasks;
	struct list answered = LIST_INIT(answered);
	struct task *made = task_new(ts, st, op->rq), *t;
	bool is_new;

	lock_take(&ts->lock);
	t = tasks_find(ts, op->rq->id);
	is_new = t == NULL;
	if (is_new) {
		t = take_ptr(&made);
		tasks_insert(ts, t);
		tasks_hold(ts, t);
	}
	claim_all_of_id(ts, t, op, &answered);
	opening_free(ts, op);
	lock_drop(&ts->lock);
	if (made)
		task_free(made);
	fetch_kick(t->fetch, false); /* what is on disk may have to be proved */
	if (is_new)
		tasks_tell_opened(ts, t);
	answer_all(&answered, t, NULL);
	task_unref(t);
}

/* ---- workers */

static int resolve_traced(struct opening *op, struct store_task **out, struct err *e)
{
	struct span span = {0};
	int r;

	if (trace_context_is_set(&op->rq->trace))
		span_begin(&span, "resolve_task", SPAN_INTERNAL, &op->rq->trace);
	trace_within(&span.context);
	span_text(&span, "d7y.task.id", op->rq->id);
	r = resolve_remote(op->tasks, op->rq, out, e);
	if (r < 0)
		span_fail(&span, e->text);
	span_end(&span);
	return r;
}

static void run_remote(void *arg)
{
	struct opening *op = arg;
	struct store_task *st = NULL;
	struct err e = {0};
	int r = resolve_traced(op, &st, &e);

	if (r == 0) {
		succeed(op, st);
		return;
	}
	/* Who wants nothing of the origin asks whether the cluster has it. */
	if (e.code != ENOENT && !(e.code == EHOSTUNREACH && op->rq->disable_back_to_source))
		log_warn("task not opened", "task=%s code=%d why=\"%s\"", op->rq->id, e.code,
			 e.text);
	fail(op, &e);
}

static void run_local(void *arg)
{
	struct opening *op = arg;
	struct store_task *st = NULL;
	struct err e = {0};
	int r = resolve_local(op->tasks, op->rq, &st, &e);

	if (r == 0) {
		succeed(op, st);
		return;
	}
	if (r == -ENOENT && !op->rq->local_only) {
		if (pool_run(op->tasks->network, run_remote, op))
			return;
		err_set(&e, EBUSY, "too many tasks are being opened");
	}
	fail(op, &e);
}

/* ---- from outside */

/* With tasks.lock. */
static struct opening *opening_new(struct tasks *ts, const char *key, struct request **rq)
{
	struct opening *op = mem_new(struct opening);

	op->tasks = ts;
	op->rq = take_ptr(rq);
	snprintf(op->key, sizeof(op->key), "%s", key);
	list_init(&op->opens);
	list_push_back(&ts->opening_list, &op->link);
	op->running = true;
	map_put(ts->openings, op->key, op);
	return op;
}

/* With tasks.lock. Joins those who ask the same; *start_out is an opening that has yet to be run.
 * False with *e set: the answer is known, or there are too many. */
static bool join(struct tasks *ts, struct task_open *o, struct request **rq, int64_t timeout_ms,
		 struct opening **start_out, struct err *e)
{
	char key[sizeof(((struct opening *)0)->key)];
	struct opening *op;

	snprintf(key, sizeof(key), "%s %016" PRIx64, (*rq)->id, (*rq)->fingerprint);
	op = map_get(ts->openings, key);
	if (op && !op->running && clock_ms() < op->forget_ms) {
		*e = op->failed;
		return false;
	}
	if (ts->open_count >= OPENS_MAX) {
		err_set(e, ENOBUFS, "too many opens wait");
		return false;
	}
	if (op && !op->running) {
		opening_free(ts, op);
		op = NULL;
	}
	if (!op)
		op = *start_out = opening_new(ts, key, rq);
	o->state = OPEN_WAITING;
	list_push_back(&op->opens, &o->link);
	ts->open_count++;
	timer_arm(&o->timer, timeout_ms ? timeout_ms : ts->open_timeout_ms);
	return true;
}

void task_open(struct tasks *ts, const struct task_request *trq, struct task_open *o)
{
	cleanup(request_free_at) struct request *rq = NULL;
	struct opening *start = NULL;
	struct task *t = NULL;
	struct err e = {0};

	o->tasks = ts;
	o->state = OPEN_ANSWERED;
	o->timer = (struct timer){.fire = expire, .arg = o};
	list_init(&o->link);
	if (__atomic_load_n(&ts->stopping, __ATOMIC_RELAXED))
		err_set(&e, ECANCELED, "the daemon stops");
	else if (request_new(trq, &rq, &e) == 0) {
		lock_take(&ts->lock);
		t = tasks_find(ts, rq->id);
		if (!t)
			join(ts, o, &rq, trq->timeout_ms, &start, &e);
		lock_drop(&ts->lock);
	}
	if (t)
		task_apply(t, rq);
	if (t || e.code) {
		o->done(o, t, t ? NULL : &e);
		return;
	}
	if (start && !pool_run(ts->local, run_local, start)) {
		err_set(&e, EBUSY, "too many tasks are being opened");
		fail(start, &e);
	}
}

bool task_open_cancel(struct task_open *o)
{
	struct tasks *ts = o->tasks;
	bool mine;

	lock_take(&ts->lock);
	mine = o->state == OPEN_WAITING;
	if (mine)
		claim(ts, o);
	lock_drop(&ts->lock);
	if (mine)
		timer_cancel(&o->timer);
	return mine;
}

struct blocked {
	struct task_open o;
	struct lock lock;
	struct cond answered;
	bool done;
	struct task *t;
	struct err e;
};

static void unblock(struct task_open *o, struct task *t, const struct err *e)
{
	struct blocked *b = container_of(o, struct blocked, o);

	lock_guard(&b->lock);
	b->t = t;
	if (e)
		b->e = *e;
	b->done = true;
	cond_wake_all(&b->answered);
}

int task_open_wait(struct tasks *ts, const struct task_request *rq, struct task **out,
		   struct err *e)
{
	struct blocked b = {.o = {.done = unblock}};

	lock_init(&b.lock, RANK_TASK);
	cond_init(&b.answered);
	task_open(ts, rq, &b.o);
	lock_take(&b.lock);
	while (!b.done)
		cond_wait(&b.answered, &b.lock);
	lock_drop(&b.lock);
	cond_release(&b.answered);
	lock_release(&b.lock);
	if (!b.t)
		return err_copy(e, &b.e);
	*out = b.t;
	return 0;
}

void openings_expire(struct tasks *ts, bool all)
{
	int64_t now = clock_ms();

	lock_guard(&ts->lock);
	list_each_safe (it, &ts->opening_list) {
		struct opening *op = list_entry(it, struct opening, link);

		if (!op->running && (all || now >= op->forget_ms))
			opening_free(ts, op);
	}
}

void openings_cancel(struct tasks *ts, const struct err *e)
{
	struct list answered = LIST_INIT(answered);

	lock_take(&ts->lock);
	list_each (it, &ts->opening_list)
		claim_all(ts, list_entry(it, struct opening, link), &answered);
	lock_drop(&ts->lock);
	answer_all(&answered, NULL, e);
}
