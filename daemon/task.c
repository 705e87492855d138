/*
 * One task: its pieces for readers, its fetch, its watchers. Events for watchers go through a list:
 * whoever adds one while nobody hands them out does so until the list is empty, so watchers hear of
 * one event at a time, in order, without a lock.
 */
#include "daemon/task.h"

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/tasks_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- events for watchers */

static void event_free(struct task_event *ev)
{
	free(ev->e);
	free(ev);
}

/* With the lock, dropped around each call. */
static void tell_all(struct task *t, const struct task_event *ev)
{
	for (struct list *l = t->watchers.next; l != &t->watchers; l = t->tell_next) {
		struct task_watch *w = list_entry(l, struct task_watch, link);

		w->busy = true;
		lock_drop(&t->lock);
		if (ev->kind == EVENT_CHANGED)
			w->changed(w, ev->index, ev->e);
		else if (w->coming)
			w->coming(w, ev->index, ev->kind == EVENT_COMING);
		lock_take(&t->lock);
		w->busy = false;
		t->tell_next = w->link.next;
		cond_wake_all(&t->told);
	}
}

static void tell(struct task *t, const struct task_event *what)
{
	struct task_event *ev;

	lock_guard(&t->lock);
	if (list_empty(&t->watchers) && !t->telling)
		return;
	ev = mem_dup(what, sizeof(*what));
	ev->e = what->e ? mem_dup(what->e, sizeof(*what->e)) : NULL;
	list_push_back(&t->events, &ev->link);
	if (t->telling)
		return;
	t->telling = true;
	for (struct list *l = list_pop_front(&t->events); l; l = list_pop_front(&t->events)) {
		ev = list_entry(l, struct task_event, link);
		tell_all(t, ev);
		event_free(ev);
	}
	t->telling = false;
}

void task_watch(struct task *t, struct task_watch *w)
{
	lock_guard(&t->lock);
	w->busy = false;
	list_push_back(&t->watchers, &w->link);
}

void task_unwatch(struct task *t, struct task_watch *w)
{
	lock_guard(&t->lock);
	while (w->busy)
		cond_wait(&t->told, &t->lock);
	if (t->tell_next == &w->link)
		t->tell_next = w->link.next;
	list_remove(&w->link);
}

/* ---- what fetch tells and asks */

static void on_ready(void *arg, uint32_t index)
{
	tell(arg, &(struct task_event){.index = index});
}

static void on_coming(void *arg, uint32_t index, bool comes)
{
	tell(arg, &(struct task_event){.index = index, .kind = comes ? EVENT_COMING : EVENT_LOST});
}

static void on_complete(void *arg)
{
	struct task *t = arg;

	lock_take(&t->lock);
	t->last = (struct err){0};
	lock_drop(&t->lock);
	tell(t, &(struct task_event){.index = UINT32_MAX});
}

static void on_failed(void *arg, const struct err *e)
{
	struct task *t = arg;

	lock_take(&t->lock);
	t->last = *e;
	lock_drop(&t->lock);
	tell(t, &(struct task_event){.index = UINT32_MAX, .e = (struct err *)e});
}

static void on_stale(void *arg)
{
	struct task *t = arg;

	log_warn("origin has other content now, the task is forgotten", "task=%s",
		 task_meta(t)->id);
	tasks_forget(t->all, t);
}

/* Where callers said it is; else where its digest was seen; else where it came from. */
static size_t on_sources(void *arg, struct source *out[SOURCES_OF_DIGEST_MAX])
{
	struct task *t = arg;
	const struct store_meta *m = store_task_meta(t->st);
	struct source *seen[SOURCES_OF_DIGEST_MAX];
	size_t count = 0, seen_count = 0;
	const char *hex;

	lock_take(&t->lock);
	if (t->source)
		out[count++] = source_ref(t->source);
	lock_drop(&t->lock);
	if (m->digest && digest_is_sha256(m->digest, &hex))
		seen_count = sources_find(t->all->sources, hex, seen);
	for (size_t i = 0; i < seen_count; i++) {
		if (count < SOURCES_OF_DIGEST_MAX)
			out[count++] = seen[i];
		else
			source_unref(seen[i]);
	}
	if (count == 0 && m->url)
		out[count++] = source_new(m->url, NULL);
	return count;
}

static const struct fetch_ops fetch_ops = {.ready = on_ready,
					   .coming = on_coming,
					   .complete = on_complete,
					   .failed = on_failed,
					   .stale = on_stale,
					   .sources = on_sources};

/* ---- life */

/* Opened by a bare digest: others must be told how the id came about. */
static bool is_named_by_digest(const struct request *rq)
{
	const char *hex;

	return rq->digest && digest_is_sha256(rq->digest, &hex) && strcmp(hex, rq->id) == 0;
}

struct task *task_new(struct tasks *ts, struct store_task *st, const struct request *rq)
{
	struct task *t = mem_new(struct task);
	struct fetch_options o = {.priority = rq->priority,
				  .need_back_to_source = rq->need_back_to_source,
				  .disable_back_to_source = rq->disable_back_to_source,
				  .blob_digest_id = rq->blob_digest_id || is_named_by_digest(rq),
				  .filtered_params = (const char *const *)rq->filtered_params,
				  .filtered_param_count = rq->filtered_param_count,
				  .piece_length = rq->piece_length,
				  .content_for_id = rq->content_for_id,
				  .needs_witness = task_needs_witness(rq->content_for_id)};

	t->all = ts;
	t->st = st;
	list_init(&t->idle_link);
	list_init(&t->all_link);
	lock_init(&t->lock, RANK_TASK);
	cond_init(&t->told);
	list_init(&t->watchers);
	list_init(&t->events);
	if (rq->source)
		t->source = source_ref(rq->source);
	t->pieces = pieces_new(st, &ts->tally);
	t->fetch = fetch_new(ts->fetchers, st, t->pieces, &o, &fetch_ops, t);
	fetch_asked_by(t->fetch, &rq->trace);
	return t;
}

void task_free(struct task *t)
{
	fetch_free(t->fetch);
	pieces_free(t->pieces);
	store_task_unref(t->st);
	source_unref(t->source);
	cond_release(&t->told);
	lock_release(&t->lock);
	free(t);
}

void task_apply(struct task *t, const struct request *rq)
{
	struct source *old = NULL;

	if (rq->source) {
		lock_take(&t->lock);
		old = t->source;
		/* What is known of the place stays known. */
		if (old && old != rq->source && strcmp(old->url, rq->source->url) == 0 &&
		    __atomic_load_n(&rq->source->ranges, __ATOMIC_RELAXED) == 0)
			__atomic_store_n(&rq->source->ranges,
					 __atomic_load_n(&old->ranges, __ATOMIC_RELAXED),
					 __ATOMIC_RELAXED);
		t->source = source_ref(rq->source);
		lock_drop(&t->lock);
	}
	source_unref(old);
	fetch_asked_by(t->fetch, &rq->trace);
	if (task_needs_witness(rq->content_for_id))
		fetch_need_witness(t->fetch);
	if (rq->need_back_to_source && store_task_is_verified(t->st))
		fetch_announce(t->fetch);
	else if (rq->need_back_to_source)
		fetch_need_origin(t->fetch);
	if (rq->prefetch)
		task_want_all(t, TASK_REST);
}

void task_cancel(struct task *t, const struct err *e)
{
	fetch_cancel(t->fetch);
	pieces_fail(t->pieces, e);
}

/* ---- readers */

const struct store_meta *task_meta(const struct task *t)
{
	return store_task_meta(t->st);
}

void task_last_error(struct task *t, char *text, size_t size)
{
	lock_guard(&t->lock);
	snprintf(text, size, "%s", t->last.code ? t->last.text : "");
}

void task_read(struct task *t, uint64_t off, uint32_t len, struct waiter *w, int64_t timeout_ms)
{
	/* done() may give the caller's reference back. */
	task_ref(t);
	store_task_touch(t->st);
	if (piece_read(t->pieces, off, len, w, timeout_ms ? timeout_ms : t->all->read_timeout_ms)) {
		fetch_asked_by(t->fetch, &trace_here);
		fetch_kick(t->fetch, true);
	}
	task_unref(t);
}

struct trace_context task_trace(struct task *t)
{
	return fetch_trace(t->fetch);
}

bool task_read_cancel(struct waiter *w)
{
	return piece_read_cancel(w);
}

void task_want_all(struct task *t, enum task_priority p)
{
	static const enum piece_rank ranks[] = {
		[TASK_URGENT] = PIECE_URGENT, [TASK_NEAR] = PIECE_NEAR, [TASK_REST] = PIECE_REST};

	fetch_asked_by(t->fetch, &trace_here);
	pieces_want_all(t->pieces, ranks[p]);
	fetch_kick(t->fetch, p == TASK_URGENT);
}

void task_hurry(struct task *t, const uint32_t *numbers, size_t count)
{
	/* Who asks for all that is missing is in no hurry for any of it. */
	if (!fetch_reads_origin(t->fetch) ||
	    count >= task_meta(t)->geometry.piece_count - pieces_ready_count(t->pieces))
		return;
	for (size_t i = 0; i < count; i++)
		piece_hurry(t->pieces, numbers[i]);
	fetch_kick(t->fetch, true);
}

void task_progress(struct task *t, struct task_progress *out)
{
	const struct geometry *g = &task_meta(t)->geometry;
	struct fetch_progress f;

	fetch_progress(t->fetch, &f);
	*out = (struct task_progress){.piece_count = g->piece_count,
				      .ready_count = pieces_ready_count(t->pieces),
				      .bytes_total = g->content_length,
				      .bytes_ready = pieces_ready_bytes(t->pieces),
				      .from_origin = f.from_origin,
				      .from_peers = f.from_peers,
				      .parents = f.parents,
				      .complete = store_task_is_verified(t->st),
				      .failed = f.failed};
}

bool task_reads_origin(struct task *t)
{
	return fetch_reads_origin(t->fetch);
}

bool task_piece_ready(struct task *t, uint32_t index)
{
	return piece_is_ready(t->pieces, index);
}

bool task_piece_kept(struct task *t, uint32_t index)
{
	struct store_piece info;

	return piece_is_ready(t->pieces, index) ||
	       store_piece_get(t->st, index, &info) != STORE_ABSENT;
}

bool task_piece_info(struct task *t, uint32_t index, struct store_piece *out)
{
	return piece_is_ready(t->pieces, index) &&
	       store_piece_get(t->st, index, out) == STORE_PRESENT;
}

int task_complete_fd(struct task *t)
{
	return store_task_is_verified(t->st) ? store_task_fd(t->st) : -1;
}
