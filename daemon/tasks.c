/*
 * The table of tasks. A task that nobody holds stays open for a while (its descriptor and its place
 * in the table), unless there are too many; one that is being fetched stays in any case. What left
 * the table (deleted) lives until its readers go. Housekeeping once a second.
 */
#include "daemon/tasks.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/host.h"
#include "daemon/scheduler_client.h"
#include "daemon/tasks_private.h"

#include <errno.h>

#define TICK_MS_MAX	 1000
#define TICK_MS_MIN	 20
#define VOLATILE_IDLE_MS 2000
#define WAITERS_MAX	 65536
#define LOCAL_THREADS	 4
#define QUEUE_MAX	 8192
#define LINGER_MS	 10000
#define RETRY_MS	 1000
#define MISMATCH_MS	 60000

/* ---- references */

void task_ref(struct task *t)
{
	__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
}

void task_unref(struct task *t)
{
	struct tasks *ts = t->all;
	unsigned refs = __atomic_load_n(&t->refs, __ATOMIC_RELAXED);

	while (refs > 1)
		if (__atomic_compare_exchange_n(&t->refs, &refs, refs - 1, true, __ATOMIC_ACQ_REL,
						__ATOMIC_RELAXED))
			return;
	lock_guard(&ts->lock);
	if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	t->idle_since_ms = clock_ms();
	list_push_back(&ts->idle, &t->idle_link);
	ts->idle_count++;
}

void tasks_hold(struct tasks *ts, struct task *t)
{
	if (__atomic_add_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) == 1 && !list_empty(&t->idle_link)) {
		list_remove(&t->idle_link);
		ts->idle_count--;
	}
}

struct task *tasks_find(struct tasks *ts, const char *id)
{
	struct task *t = map_get(ts->table, id);

	if (t)
		tasks_hold(ts, t);
	return t;
}

void tasks_insert(struct tasks *ts, struct task *t)
{
	map_put(ts->table, store_task_meta(t->st)->id, t);
	list_push_back(&ts->all, &t->all_link);
}

/* With the lock: out of the table and of all lists; the caller frees it. */
static void take_out(struct tasks *ts, struct task *t, struct list *out)
{
	if (!t->gone)
		map_remove(ts->table, store_task_meta(t->st)->id);
	t->gone = true;
	list_remove(&t->idle_link);
	ts->idle_count--;
	list_remove(&t->all_link);
	list_push_back(out, &t->all_link);
}

/* ---- housekeeping */

static void free_all(struct list *tasks)
{
	for (struct list *l = list_pop_front(tasks); l; l = list_pop_front(tasks))
		task_free(list_entry(l, struct task, all_link));
}

static void drop_idle(struct tasks *ts)
{
	struct list out = LIST_INIT(out);
	int64_t now = clock_ms();

	lock_take(&ts->lock);
	list_each_safe (it, &ts->idle) {
		struct task *t = list_entry(it, struct task, idle_link);
		bool old = now - t->idle_since_ms >= ts->idle_ms;

		if ((t->gone || old || ts->idle_count > ts->idle_max) && !fetch_is_active(t->fetch))
			take_out(ts, t, &out);
	}
	lock_drop(&ts->lock);
	free_all(&out);
}

/* References to all tasks; the caller frees the array. */
static struct task **hold_all(struct tasks *ts, size_t *count_out)
{
	struct task **held;
	size_t n = 0;

	lock_guard(&ts->lock);
	list_each (it, &ts->all)
		n++;
	held = mem_array(n, sizeof(*held));
	n = 0;
	list_each (it, &ts->all) {
		held[n] = list_entry(it, struct task, all_link);
		tasks_hold(ts, held[n++]);
	}
	*count_out = n;
	return held;
}

static void drop_volatile(struct tasks *ts)
{
	struct task **held;
	size_t count;

	if (__atomic_load_n(&ts->tally.volatiles, __ATOMIC_RELAXED) == 0)
		return;
	held = hold_all(ts, &count);
	for (size_t i = 0; i < count; i++) {
		pieces_drop_volatile(held[i]->pieces, VOLATILE_IDLE_MS);
		task_unref(held[i]);
	}
	free(held);
}

static void keep_house(void *arg)
{
	struct tasks *ts = arg;

	drop_idle(ts);
	drop_volatile(ts);
	openings_expire(ts, false);
	if (!__atomic_load_n(&ts->stopping, __ATOMIC_RELAXED))
		timer_arm(&ts->tick, ts->tick_ms);
}

static void on_tick(struct timer *timer)
{
	struct tasks *ts = timer->arg;

	if (!pool_run(ts->local, keep_house, ts))
		timer_arm(timer, ts->tick_ms);
}

/* ---- making and freeing */

static unsigned or_else(unsigned value, unsigned fallback)
{
	return value ? value : fallback;
}

static int64_t ms_or_else(int64_t value, int64_t fallback)
{
	return value ? value : fallback;
}

static struct fetchers *make_fetchers(const struct tasks_config *c)
{
	unsigned workers = or_else(c->piece_workers, 8);
	unsigned threads = workers * 4 < 16 ? 16 : workers * 4;
	struct fetchers_config fc = {.origin = c->origin,
				     .scheduler = c->scheduler,
				     .piece_client = c->piece_client,
				     .host = c->host,
				     .threads = or_else(c->fetch_threads, threads),
				     .piece_workers = workers,
				     .stall_ms = ms_or_else(c->piece_stall_ms, 5000),
				     .silence_ms = ms_or_else(c->silence_ms, 2000),
				     .second_ms = ms_or_else(c->second_ms, 250),
				     .bandwidth_per_s = c->bandwidth_per_s,
				     .reschedules_max = or_else(c->reschedules_max, 5),
				     .patience_ms = ms_or_else(c->patience_ms, 5000),
				     .linger_ms = ms_or_else(c->linger_ms, LINGER_MS),
				     .retry_ms = ms_or_else(c->retry_ms, RETRY_MS),
				     .mismatch_retry_ms = MISMATCH_MS,
				     .witness_ms = ms_or_else(c->witness_ms, 10000),
				     .history = c->history};

	return fetchers_new(&fc);
}

struct tasks *tasks_new(const struct tasks_config *c)
{
	struct tasks *ts = mem_new(struct tasks);
	unsigned threads = or_else(c->resolve_threads, 16);

	ts->store = c->store;
	ts->origin = c->origin;
	ts->scheduler = c->scheduler;
	ts->tmp_dir = mem_strdup(c->tmp_dir ? c->tmp_dir : "/var/tmp");
	ts->unknown_length_max = c->unknown_length_max ? c->unknown_length_max : UINT64_C(16) << 30;
	ts->idle_max = or_else(c->idle_max, 512);
	ts->idle_ms = ms_or_else(c->idle_ms, 60000);
	ts->tick_ms = ts->idle_ms / 4 < TICK_MS_MIN ? TICK_MS_MIN : ts->idle_ms / 4;
	if (ts->tick_ms > TICK_MS_MAX)
		ts->tick_ms = TICK_MS_MAX;
	ts->open_timeout_ms = ms_or_else(c->open_timeout_ms, 30000);
	ts->read_timeout_ms = ms_or_else(c->read_timeout_ms, 60000);
	ts->tally.waiters_max = WAITERS_MAX;
	lock_init(&ts->lock, RANK_TASKS);
	ts->table = map_new();
	ts->openings = map_new();
	ts->making = map_new();
	cond_init(&ts->made);
	list_init(&ts->all);
	list_init(&ts->idle);
	list_init(&ts->opening_list);
	ts->sources = sources_new();
	for (size_t i = 0; i < c->source_count; i++)
		sources_add(ts->sources, c->sources[i].base, c->sources[i].repository,
			    c->sources[i].authorization);
	ts->fetchers = make_fetchers(c);
	ts->local = pool_new("tasks", LOCAL_THREADS, QUEUE_MAX);
	ts->network = pool_new("resolve", threads, QUEUE_MAX);
	ts->tick = (struct timer){.fire = on_tick, .arg = ts};
	timer_arm(&ts->tick, ts->tick_ms);
	return ts;
}

/* Stops what is under way and answers who waits. */
static void cancel_all(struct tasks *ts)
{
	struct err e = {0};
	struct task **held;
	size_t count;

	err_set(&e, ECANCELED, "the daemon stops");
	openings_cancel(ts, &e);
	held = hold_all(ts, &count);
	for (size_t i = 0; i < count; i++)
		task_cancel(held[i], &e);
	for (size_t i = 0; i < count; i++)
		task_unref(held[i]);
	free(held);
}

void tasks_free(struct tasks *ts)
{
	struct list out = LIST_INIT(out);

	if (!ts)
		return;
	__atomic_store_n(&ts->stopping, true, __ATOMIC_RELAXED);
	cancel_all(ts);
	timer_cancel(&ts->tick);
	pool_free(ts->local);
	timer_cancel(&ts->tick); /* housekeeping may have armed it */
	pool_free(ts->network);
	openings_expire(ts, true);
	lock_take(&ts->lock);
	list_each_safe (it, &ts->idle)
		take_out(ts, list_entry(it, struct task, idle_link), &out);
	bool held = !list_empty(&ts->all);
	lock_drop(&ts->lock);
	free_all(&out);
	if (held) {
		log_error("SK198", "tasks are still held at the end", NULL);
		return;
	}
	fetchers_free(ts->fetchers);
	sources_free(ts->sources);
	map_free(ts->table);
	map_free(ts->openings);
	map_free(ts->making);
	cond_release(&ts->made);
	lock_release(&ts->lock);
	free(ts->tmp_dir);
	free(ts);
}

/* ---- the rest of what others call */

void tasks_forget(struct tasks *ts, struct task *t)
{
	lock_take(&ts->lock);
	if (!t->gone)
		map_remove(ts->table, task_meta(t)->id);
	t->gone = true;
	lock_drop(&ts->lock);
	pieces_want_none(t->pieces);
	store_task_remove(t->st);
}

int task_delete(struct tasks *ts, const char *id, struct err *e)
{
	struct store_task *st = NULL;
	struct task *t;
	int r;

	lock_take(&ts->lock);
	t = tasks_find(ts, id);
	lock_drop(&ts->lock);
	if (t) {
		tasks_forget(ts, t);
		task_unref(t);
	} else {
		r = store_find(ts->store, id, &st, e);
		if (r < 0)
			return r;
		store_task_remove(st);
		store_task_unref(st);
	}
	if (ts->scheduler)
		scheduler_client_delete_task(ts->scheduler, id);
	return 0;
}

void task_note_source(struct tasks *ts, const char *digest_hex, const char *base,
		      const char *repository, const char *authorization)
{
	sources_note(ts->sources, digest_hex, base, repository, authorization);
}

void tasks_on_opened(struct tasks *ts, void (*fn)(struct task *t, void *arg), void *arg)
{
	lock_guard(&ts->lock);
	ts->opened = fn;
	ts->opened_arg = arg;
	while (!fn && ts->telling > 0)
		cond_wait(&ts->made, &ts->lock);
}

void tasks_tell_opened(struct tasks *ts, struct task *t)
{
	void (*fn)(struct task * t, void *arg);
	void *arg;

	lock_take(&ts->lock);
	fn = ts->opened;
	arg = ts->opened_arg;
	ts->telling += fn != NULL;
	lock_drop(&ts->lock);
	if (!fn)
		return;
	fn(t, arg);
	lock_guard(&ts->lock);
	ts->telling--;
	cond_wake_all(&ts->made);
}

void tasks_stat(struct tasks *ts, struct tasks_stat *out)
{
	const struct fetch_tally *f = fetchers_tally(ts->fetchers);

	*out = (struct tasks_stat){
		.active = __atomic_load_n(&f->active, __ATOMIC_RELAXED),
		.waiters = __atomic_load_n(&ts->tally.waiters, __ATOMIC_RELAXED),
		.from_origin = __atomic_load_n(&f->from_origin, __ATOMIC_RELAXED),
		.from_peers = __atomic_load_n(&f->from_peers, __ATOMIC_RELAXED),
		.pieces_fetched = __atomic_load_n(&f->pieces_fetched, __ATOMIC_RELAXED),
		.pieces_failed = __atomic_load_n(&f->pieces_failed, __ATOMIC_RELAXED),
		.digest_failures = __atomic_load_n(&f->digest_failures, __ATOMIC_RELAXED),
		.seconds = __atomic_load_n(&f->seconds, __ATOMIC_RELAXED),
		.seconds_used = __atomic_load_n(&f->seconds_used, __ATOMIC_RELAXED),
		.wasted = __atomic_load_n(&f->wasted, __ATOMIC_RELAXED),
		.hits = __atomic_load_n(&ts->tally.hits, __ATOMIC_RELAXED),
		.misses = __atomic_load_n(&ts->tally.misses, __ATOMIC_RELAXED)};
	lock_guard(&ts->lock);
	out->tasks = (unsigned)map_count(ts->table);
	out->opens = ts->open_count;
}

void tasks_each(struct tasks *ts,
		void (*fn)(const struct store_meta *m, uint32_t present, void *arg), void *arg)
{
	store_each(ts->store, fn, arg);
}
