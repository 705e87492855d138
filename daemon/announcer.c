/* Telling schedulers what is here (announcer.h). */
#include "daemon/announcer.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"

#include <errno.h>
#include <string.h>

#define RANK_ANNOUNCER 15
#define LOOK_MS	       250 /* how soon a scheduler that comes is seen */
#define SAMPLES	       4   /* told tasks that are asked after each interval */

/* A task that was told, and as which peer. */
struct told {
	char task_id[STORE_ID_LEN + 1];
	char *peer_id;
};

struct announcer {
	struct store *store;
	struct scheduler_client *sc;
	int64_t interval_ms;
	pthread_t thread;
	/* the thread's own */
	struct told *told;
	size_t told_count, told_cap;
	size_t next_sample;
	/* under lock */
	struct lock lock;
	struct cond changed;
	bool stopping;
	bool answered, accepted; /* the conversation that is under way */
};

/* ---- one announcement */

static void answered(struct announcer *a, bool accepted)
{
	lock_guard(&a->lock);
	a->answered = true;
	a->accepted = accepted;
	cond_wake_all(&a->changed);
}

static void on_ready(struct schedule *s, void *arg)
{
	(void)s;
	answered(arg, true);
}

/* Not asked for: the scheduler does not know what metadata only means. */
static void on_parents(struct schedule *s, const struct parent_info *p, size_t count, void *arg)
{
	(void)s, (void)p, (void)count;
	answered(arg, true);
}

static void on_source(struct schedule *s, const char *why, void *arg)
{
	(void)s, (void)why;
	answered(arg, true);
}

static void on_closed(struct schedule *s, const struct err *e, void *arg)
{
	(void)s, (void)e;
	answered(arg, false);
}

static const struct schedule_ops ops = {
	.parents = on_parents,
	.back_to_source = on_source,
	.ready = on_ready,
	.closed = on_closed,
};

static bool wait_for_answer(struct announcer *a)
{
	lock_guard(&a->lock);
	while (!a->answered && !a->stopping)
		cond_wait(&a->changed, &a->lock);
	return a->answered && a->accepted;
}

static void note_told(struct announcer *a, const char *task_id, const char *peer_id)
{
	struct told *t;

	if (a->told_count == a->told_cap) {
		a->told_cap = a->told_cap ? a->told_cap * 2 : 16;
		a->told = mem_realloc(a->told, a->told_cap * sizeof(*a->told));
	}
	t = &a->told[a->told_count++];
	snprintf(t->task_id, sizeof(t->task_id), "%s", task_id);
	t->peer_id = mem_strdup(peer_id);
}

static void forget_told(struct announcer *a)
{
	for (size_t i = 0; i < a->told_count; i++)
		free(a->told[i].peer_id);
	a->told_count = 0;
}

/* False: no scheduler takes it, the others will fare no better. */
static bool announce(struct announcer *a, const struct store_meta *meta)
{
	const struct schedule_register reg = {.meta = meta, .metadata_only = true};
	struct schedule *s;
	bool accepted;

	lock_take(&a->lock);
	a->answered = a->accepted = false;
	lock_drop(&a->lock);
	s = schedule_new(a->sc, &reg, &ops, a);
	accepted = wait_for_answer(a);
	if (accepted) {
		note_told(a, meta->id, schedule_peer_id(s));
		schedule_started(s);
		schedule_finished(s);
	}
	schedule_drop(s);
	return accepted;
}

/* ---- all of the store */

struct ids {
	char (*items)[STORE_ID_LEN + 1];
	size_t count, cap;
};

static void collect(const struct store_meta *m, uint32_t present, void *arg)
{
	struct ids *ids = arg;

	if (!m->whole_verified || present < m->geometry.piece_count)
		return;
	if (ids->count == ids->cap) {
		ids->cap = ids->cap ? ids->cap * 2 : 64;
		ids->items = mem_realloc(ids->items, ids->cap * sizeof(*ids->items));
	}
	memcpy(ids->items[ids->count++], m->id, sizeof(m->id));
}

/* True if every whole task was told. */
static bool announce_all(struct announcer *a)
{
	struct ids ids = {0};
	bool good = true;

	forget_told(a);
	store_each(a->store, collect, &ids);
	for (size_t i = 0; i < ids.count && good; i++) {
		struct store_task *t;

		if (store_find(a->store, ids.items[i], &t, NULL) < 0)
			continue; /* gone meanwhile */
		good = announce(a, store_task_meta(t));
		store_task_unref(t);
	}
	if (good && ids.count)
		log_info("schedulers were told what is here", "tasks=%zu", ids.count);
	free(ids.items);
	return good;
}

/* Has a scheduler forgotten what it was told? A few are asked after each time, in turn. */
static bool is_forgotten(struct announcer *a)
{
	for (size_t i = 0; i < SAMPLES && i < a->told_count; i++) {
		const struct told *t = &a->told[a->next_sample++ % a->told_count];

		if (scheduler_client_stat_peer(a->sc, t->task_id, t->peer_id, NULL) == -ENOENT)
			return scheduler_client_alive(a->sc) > 0;
	}
	return false;
}

/* False when it is time to end. */
static bool pause_for(struct announcer *a, int64_t ms)
{
	int64_t until = clock_ms() + ms;

	lock_guard(&a->lock);
	while (!a->stopping)
		if (!cond_wait_until(&a->changed, &a->lock, until))
			return true;
	return false;
}

static void *announcer_main(void *arg)
{
	struct announcer *a = arg;
	int64_t look_at_ms = 0;
	unsigned met = 0; /* schedulers when all was told */
	bool told = false;

	while (pause_for(a, LOOK_MS)) {
		unsigned met_now = scheduler_client_met(a->sc);

		if (scheduler_client_alive(a->sc) == 0) {
			told = false;
			continue;
		}
		if (told && met == met_now && clock_ms() < look_at_ms)
			continue;
		if (!told || met != met_now || is_forgotten(a)) {
			told = announce_all(a);
			met = met_now;
		}
		look_at_ms = clock_ms() + a->interval_ms;
	}
	forget_told(a);
	return NULL;
}

struct announcer *announcer_new(struct store *store, struct scheduler_client *sc,
				int64_t interval_ms)
{
	struct announcer *a = mem_new(struct announcer);

	a->store = store;
	a->sc = sc;
	a->interval_ms = interval_ms;
	lock_init(&a->lock, RANK_ANNOUNCER);
	cond_init(&a->changed);
	thread_start(&a->thread, "announcer", announcer_main, a);
	return a;
}

void announcer_free(struct announcer *a)
{
	if (!a)
		return;
	lock_take(&a->lock);
	a->stopping = true;
	cond_wake_all(&a->changed);
	lock_drop(&a->lock);
	pthread_join(a->thread, NULL);
	free(a->told);
	cond_release(&a->changed);
	lock_release(&a->lock);
	free(a);
}
