/*
 * Who is told next (herald.h). An actor: it runs when a piece has come, when an upload has ended,
 * and every few milliseconds while somebody is held back, because the rest of what lets the next
 * one be told (who was told and does not come, a link that has room) tells nobody.
 */
#include "daemon/herald.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "daemon/callers.h"
#include "daemon/slots.h"

#include <assert.h>
#include <string.h>

#define HERALD_LOCK_RANK 7
#define LOOK_MS		 20
#define LOOK_LINK_MS	 100
#define SLOTS_FIRST	 4
#define IDLE_MS		 300 /* longer than between one piece of the origin and the next */
#define LULL		 3   /* that part of overdue_ms without news is a lull */
#define OVERDUE_MS	 3000
#define OVERDUE_EACH_MS	 50 /* how often somebody overdue is looked for */

/* Those who follow one task. */
struct round {
	struct list link; /* in rounds, told longest ago first */
	struct task *task;
	struct list followers; /* likewise */
	unsigned follower_count;
	uint32_t words;
	uint64_t *once, *often; /* bits: one follower was told, more were */
	bool is_new;		/* its pieces come from the origin now */
};

struct herald {
	struct actor actor;
	struct host *host;
	int64_t overdue_ms; /* constant */
	struct timer timer;
	/* of the actor's runs */
	struct slots slots;
	int64_t looked_ms; /* at the link */
	struct lock lock;
	struct cond freed;
	/* all below: lock */
	bool stopping, is_freed;
	struct list rounds;
	uint64_t random;
	int64_t next_overdue_ms; /* when to look for somebody overdue */
	int64_t granted_ms;	 /* when somebody was told last */
	int64_t busy_ms;	 /* when something was last sent, or about to be */
	struct callers callers;
	uint64_t begun; /* uploads that callers know of */
};

/* ---- how many may be told */

static void sample_link(struct herald *h, int64_t now_ms, unsigned taken)
{
	if (now_ms - h->looked_ms < LOOK_LINK_MS)
		return;
	h->looked_ms = now_ms;
	slots_sample(&h->slots, now_ms, host_link_sent(h->host), taken);
}

static unsigned taken_slots(struct herald *h, int64_t now_ms)
{
	struct host_sending s;

	lock_guard(&h->lock);
	host_sending(h->host, &s);
	if (s.begun - h->begun > HOST_BEGUN_MAX)
		h->begun = s.begun - HOST_BEGUN_MAX;
	for (; h->begun < s.begun; h->begun++)
		callers_asked(&h->callers, s.last[h->begun % HOST_BEGUN_MAX], now_ms);
	return s.running + callers_expected(&h->callers, now_ms);
}

/* ---- whom; with the lock */

static void grant(struct herald *h, struct follower *f, uint32_t number)
{
	struct round *r = f->round;

	if (bit_get(r->once, number))
		bit_set(r->often, number);
	bit_set(r->once, number);
	f->grants[f->grant_count++] = number;
	f->waiting_ms = 0;
	h->granted_ms = clock_ms();
	callers_told(&h->callers, number, h->granted_ms);
	list_remove(&f->link);
	list_push_back(&r->followers, &f->link);
	list_remove(&r->link);
	list_push_back(&h->rounds, &r->link);
	actor_wake(f->actor);
}

/* What nobody knows goes out in the order of the content, so that readers get somewhere; the rest
 * from anywhere, so that children know different pieces. */
static bool grant_one(struct herald *h, struct round *r, struct follower *f, unsigned how)
{
	const uint64_t *avoid = how == 0 ? r->once : how == 1 ? r->often : NULL;
	uint32_t from = how == 0 ? 0 : (uint32_t)(random_next(&h->random) % r->words) * 64, number;

	if (f->grant_count == HERALD_GRANTS_MAX || !piece_feed_take(f->feed, avoid, from, &number))
		return false;
	grant(h, f, number);
	return true;
}

static bool grant_among(struct herald *h, struct round *r, bool urgent, bool full, unsigned how)
{
	list_each (it, &r->followers) {
		struct follower *f = list_entry(it, struct follower, link);

		if (f->urgent == urgent && f->full == full && grant_one(h, r, f, how))
			return true;
	}
	return false;
}

static bool grant_in(struct herald *h, struct round *r, bool urgent, unsigned how)
{
	return grant_among(h, r, urgent, false, how) || grant_among(h, r, urgent, true, how);
}

/* Who is alone has nobody to wait for. */
static bool helps_himself(const struct round *r)
{
	return r->follower_count == 1 &&
	       !list_entry(r->followers.next, struct follower, link)->paced;
}

/* What comes from the origin the crowd has from here alone, and what is sent twice meanwhile delays
 * all that comes after it. */
static bool is_kept_back(const struct round *r, bool urgent, bool lull)
{
	return r->is_new && !urgent && !lull;
}

/* One piece to one follower. What nobody knows goes before all else, even before what is urgent:
 * the crowd has only that to exchange. fresh: nothing but that. */
static bool grant_next(struct herald *h, bool fresh, bool lull)
{
	static const struct {
		bool urgent;
		unsigned how;
	} order[] = {{true, 0}, {false, 0}, {true, 1}, {true, 2}, {false, 1}, {false, 2}};

	for (unsigned i = 0; i < array_len(order); i++)
		list_each (it, &h->rounds) {
			struct round *r = list_entry(it, struct round, link);

			if (helps_himself(r) || (fresh && order[i].how > 0))
				continue;
			if (order[i].how > 0 && is_kept_back(r, order[i].urgent, lull))
				continue;
			if (grant_in(h, r, order[i].urgent, order[i].how))
				return true;
		}
	return false;
}

/* Told nothing since then. A turn among many takes long where the link is slow, and that is no
 * reason to fill it: nobody at all was told for a while, or there were turns enough for all. */
static bool is_overdue(const struct herald *h, const struct follower *f, int64_t now_ms)
{
	int64_t turns_ms = h->overdue_ms * f->round->follower_count;

	return now_ms - f->waiting_ms >= turns_ms ||
	       (now_ms - f->waiting_ms >= h->overdue_ms && now_ms - h->granted_ms >= h->overdue_ms);
}

/* Whom slots that never get free would keep waiting for ever. */
static void grant_overdue(struct herald *h, struct round *r, int64_t now_ms)
{
	list_each_safe (it, &r->followers) {
		struct follower *f = list_entry(it, struct follower, link);

		if (f->grant_count > 0 || !piece_feed_has(f->feed))
			f->waiting_ms = 0;
		else if (f->waiting_ms == 0)
			f->waiting_ms = now_ms;
		else if (is_overdue(h, f, now_ms))
			(void)grant_one(h, r, f, 2);
	}
}

/* With the lock. */
static bool look_at_tasks(struct herald *h)
{
	bool any_new = false;

	list_each (it, &h->rounds) {
		struct round *r = list_entry(it, struct round, link);

		r->is_new = task_reads_origin(r->task);
		any_new |= r->is_new && !helps_himself(r);
	}
	return any_new;
}

/* Nobody was told for a while, or nothing is sent. */
static bool is_lull(const struct herald *h, int64_t now_ms)
{
	return now_ms - h->granted_ms >= h->overdue_ms / LULL || now_ms - h->busy_ms >= IDLE_MS;
}

/* True if somebody is held back. What nobody knows has a slot more: it does not wait for the end of
 * something that others could have given as well. */
static bool look(struct herald *h, int64_t now_ms, unsigned taken)
{
	unsigned slots = slots_now(&h->slots);
	bool any_new = look_at_tasks(h);

	if (taken > 0)
		h->busy_ms = now_ms;
	for (; taken < slots; taken++)
		if (!grant_next(h, false, is_lull(h, now_ms)))
			return any_new;
	if (taken == slots)
		(void)grant_next(h, true, false);
	if (now_ms < h->next_overdue_ms)
		return true;
	h->next_overdue_ms = now_ms + OVERDUE_EACH_MS;
	list_each_safe (it, &h->rounds)
		grant_overdue(h, list_entry(it, struct round, link), now_ms);
	return true;
}

static void herald_run(struct actor *a)
{
	struct herald *h = container_of(a, struct herald, actor);

	int64_t now_ms = clock_ms();
	unsigned taken = taken_slots(h, now_ms);

	sample_link(h, now_ms, taken);
	lock_guard(&h->lock);
	if (!h->stopping && look(h, now_ms, taken))
		timer_arm(&h->timer, LOOK_MS);
}

/* ---- without */

static void herald_fire(struct timer *t)
{
	herald_wake(t->arg);
}

static void upload_ended(void *arg)
{
	herald_wake(arg);
}

static void herald_freed(struct actor *a)
{
	struct herald *h = container_of(a, struct herald, actor);

	lock_guard(&h->lock);
	h->is_freed = true;
	cond_wake_all(&h->freed);
}

struct herald *herald_new(struct host *host, struct pool *pool, int64_t overdue_ms)
{
	struct herald *h = mem_new(struct herald);

	h->host = host;
	h->overdue_ms = overdue_ms ? overdue_ms : OVERDUE_MS;
	h->actor = (struct actor){.pool = pool, .run = herald_run, .free = herald_freed};
	actor_init(&h->actor);
	h->timer = (struct timer){.fire = herald_fire, .arg = h};
	lock_init(&h->lock, HERALD_LOCK_RANK);
	cond_init(&h->freed);
	list_init(&h->rounds);
	h->random = (uint64_t)clock_us();
	slots_init(&h->slots, SLOTS_FIRST, false, clock_ms(), host_link_sent(host));
	callers_init(&h->callers);
	host_on_sending_ended(host, upload_ended, h);
	return h;
}

void herald_free(struct herald *h)
{
	if (!h)
		return;
	host_on_sending_ended(h->host, NULL, NULL);
	lock_take(&h->lock);
	assert(list_empty(&h->rounds));
	h->stopping = true;
	lock_drop(&h->lock);
	timer_cancel(&h->timer);
	actor_unref(&h->actor);
	lock_take(&h->lock);
	while (!h->is_freed)
		cond_wait(&h->freed, &h->lock);
	lock_drop(&h->lock);
	cond_release(&h->freed);
	lock_release(&h->lock);
	free(h);
}

void herald_wake(struct herald *h)
{
	actor_wake(&h->actor);
}

static struct round *round_of(struct herald *h, const struct piece_feed *feed)
{
	struct round *r;

	list_each (it, &h->rounds)
		if (list_entry(it, struct round, link)->task == feed->task)
			return list_entry(it, struct round, link);
	r = mem_new(struct round);
	r->task = feed->task;
	r->words = feed->piece_count / 64 + 1;
	r->once = mem_array(r->words, sizeof(uint64_t));
	r->often = mem_array(r->words, sizeof(uint64_t));
	list_init(&r->followers);
	list_push_back(&h->rounds, &r->link);
	return r;
}

void herald_join(struct herald *h, struct follower *f)
{
	lock_take(&h->lock);
	f->round = round_of(h, f->feed);
	f->round->follower_count++;
	f->grant_count = 0;
	f->full = false;
	f->waiting_ms = 0;
	list_init(&f->link);
	list_push_front(&f->round->followers, &f->link);
	lock_drop(&h->lock);
	herald_wake(h);
}

void herald_leave(struct herald *h, struct follower *f)
{
	struct round *r = f->round;

	lock_take(&h->lock);
	list_remove(&f->link);
	if (--r->follower_count == 0) {
		list_remove(&r->link);
		free(r->once);
		free(r->often);
		free(r);
	} else if (r->follower_count == 1) {
		struct follower *alone = list_entry(r->followers.next, struct follower, link);

		actor_wake(alone->actor);
	}
	lock_drop(&h->lock);
}

void herald_room(struct herald *h, const char *task_id, const char *host_id, bool full)
{
	lock_guard(&h->lock);
	list_each (r, &h->rounds) {
		struct round *round = list_entry(r, struct round, link);

		if (strcmp(task_meta(round->task)->id, task_id) != 0)
			continue;
		list_each (it, &round->followers) {
			struct follower *f = list_entry(it, struct follower, link);

			if (strcmp(f->host_id, host_id) == 0)
				f->full = full;
		}
		return;
	}
}

bool herald_take(struct herald *h, struct follower *f, uint32_t *number_out)
{
	struct round *r = f->round;

	lock_guard(&h->lock);
	if (f->grant_count == 0 && helps_himself(r) &&
	    piece_feed_take(f->feed, NULL, 0, number_out)) {
		bit_set(r->once, *number_out);
		return true;
	}
	if (f->grant_count == 0)
		return false;
	*number_out = f->grants[0];
	memmove(f->grants, f->grants + 1, --f->grant_count * sizeof(f->grants[0]));
	return true;
}

uint32_t herald_left(struct herald *h, struct follower *f)
{
	lock_guard(&h->lock);
	return f->grant_count + piece_feed_left(f->feed);
}
