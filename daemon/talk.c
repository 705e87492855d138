/* A conversation with the scheduler. schedule_*() are called with the owner's lock: they only queue
 * a message, and so what is told stays in order. */
#include "daemon/talk.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* A piece that was finished before the scheduler had answered. */
struct early {
	uint32_t index;
	uint64_t offset;
	struct store_piece piece;
	char *parent_id; /* NULL = from the origin */
};

struct talk {
	struct scheduler_client *sc; /* constant */
	struct lock *lock;	     /* constant; for all below */
	void (*changed)(void *arg);  /* constant */
	void *arg;		     /* constant */
	struct schedule *schedule;   /* NULL = not open */
	struct talk_news news;
	bool has_news, answered, started, to_origin;
	bool over; /* the scheduler closed it */
	struct early *early;
	size_t early_count;
};

struct talk *talk_new(struct scheduler_client *sc, struct lock *lock, void (*changed)(void *arg),
		      void *arg)
{
	struct talk *t = mem_new(struct talk);

	t->sc = sc;
	t->lock = lock;
	t->changed = changed;
	t->arg = arg;
	return t;
}

void talk_free(struct talk *t)
{
	if (!t)
		return;
	talk_close(t, TALK_DROPPED, NULL);
	free(t);
}

/* ---- what the scheduler tells, on the rpc or the timer thread */

static void on_parents(struct schedule *s, const struct parent_info *parents, size_t count,
		       void *arg)
{
	struct talk *t = arg;

	(void)s;
	lock_take(t->lock);
	t->answered = t->has_news = t->news.answered = true;
	for (size_t i = 0; i < count && t->news.parent_count < TALK_PARENTS_MAX; i++)
		t->news.parents[t->news.parent_count++] = parents[i];
	lock_drop(t->lock);
	t->changed(t->arg);
}

static void on_back_to_source(struct schedule *s, const char *why, void *arg)
{
	struct talk *t = arg;

	(void)s;
	lock_take(t->lock);
	t->answered = t->has_news = t->news.to_origin = true;
	snprintf(t->news.why, sizeof(t->news.why), "%s", why ? why : "");
	lock_drop(t->lock);
	t->changed(t->arg);
}

static void on_ready(struct schedule *s, void *arg)
{
	struct talk *t = arg;

	(void)s;
	lock_take(t->lock);
	t->answered = t->has_news = t->news.ready = true;
	lock_drop(t->lock);
	t->changed(t->arg);
}

static void on_closed(struct schedule *s, const struct err *e, void *arg)
{
	struct talk *t = arg;

	(void)s;
	lock_take(t->lock);
	t->over = t->has_news = t->news.closed = true;
	if (e)
		t->news.closed_e = *e;
	lock_drop(t->lock);
	t->changed(t->arg);
}

static const struct schedule_ops ops = {.parents = on_parents,
					.back_to_source = on_back_to_source,
					.ready = on_ready,
					.closed = on_closed};

/* With the lock. */
static void forget_early(struct talk *t)
{
	for (size_t i = 0; i < t->early_count; i++)
		free(t->early[i].parent_id);
	free(t->early);
	t->early = NULL;
	t->early_count = 0;
}

/* ---- opening and closing; without the lock */

void talk_open(struct talk *t, const struct schedule_register *reg)
{
	struct schedule *s = schedule_new(t->sc, reg, &ops, t);

	lock_guard(t->lock);
	t->schedule = s;
}

void talk_close(struct talk *t, enum talk_end end, const char *why)
{
	struct schedule *s;
	bool over;

	lock_take(t->lock);
	s = take_ptr(&t->schedule);
	over = t->over;
	lock_drop(t->lock);
	if (s && !over && end == TALK_FINISHED)
		schedule_finished(s);
	else if (s && !over && end == TALK_FAILED)
		schedule_failed(s, why ? why : "");
	if (s)
		schedule_drop(s);
	lock_guard(t->lock);
	forget_early(t);
	t->has_news = t->answered = t->started = t->to_origin = t->over = false;
	t->news = (struct talk_news){0};
}

/* ---- with the lock */

bool talk_is_open(const struct talk *t)
{
	return t->schedule && !t->over;
}

bool talk_is_waiting(const struct talk *t)
{
	return talk_is_open(t) && !t->answered;
}

const char *talk_peer_id(const struct talk *t)
{
	return t->schedule ? schedule_peer_id(t->schedule) : "";
}

void talk_scheduler(const struct talk *t, char *text, size_t size)
{
	*text = 0;
	if (t->schedule)
		schedule_scheduler(t->schedule, text, size);
}

bool talk_take_news(struct talk *t, struct talk_news *out)
{
	/* Not before schedule_new() has returned: acting upon it may want to answer. */
	if (!t->has_news || !t->schedule)
		return false;
	*out = t->news;
	t->news = (struct talk_news){0};
	t->has_news = false;
	return true;
}

static void tell_early(struct talk *t)
{
	for (size_t i = 0; i < t->early_count; i++)
		schedule_piece_finished(t->schedule, t->early[i].index, t->early[i].offset,
					&t->early[i].piece, t->early[i].parent_id);
	forget_early(t);
}

void talk_started(struct talk *t)
{
	if (!talk_is_open(t) || !t->answered || t->started || t->to_origin)
		return;
	t->started = true;
	schedule_started(t->schedule);
	tell_early(t);
}

void talk_to_origin(struct talk *t, const char *why)
{
	if (!talk_is_open(t) || !t->answered || t->to_origin)
		return;
	t->to_origin = true;
	schedule_back_to_source_started(t->schedule, why);
	tell_early(t);
}

void talk_piece_finished(struct talk *t, uint32_t index, uint64_t offset,
			 const struct store_piece *piece, const char *parent_id)
{
	if (!talk_is_open(t))
		return;
	if (t->started || t->to_origin) {
		schedule_piece_finished(t->schedule, index, offset, piece, parent_id);
		return;
	}
	t->early = mem_realloc(t->early, (t->early_count + 1) * sizeof(*t->early));
	t->early[t->early_count++] =
		(struct early){index, offset, *piece, parent_id ? mem_strdup(parent_id) : NULL};
}

void talk_piece_failed(struct talk *t, uint32_t index, const char *parent_id)
{
	if (talk_is_open(t) && (t->started || t->to_origin))
		schedule_piece_failed(t->schedule, index, parent_id, true);
}

void talk_reschedule(struct talk *t, const struct parent_info *tried, size_t count, const char *why)
{
	if (talk_is_open(t))
		schedule_reschedule(t->schedule, tried, count, why);
}
