/* The pool of channels to other daemons (channels.h). */
#include "daemon/channels.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/timer.h"

#include <assert.h>
#include <pthread.h>

#define CHANNELS_LOCK_RANK 50
#define IDLE_MS		   60000
#define IDLE_MAX	   128

struct pooled {
	struct rpc_channel *channel;
	unsigned users;
	int64_t idle_since_ms;
	struct list link; /* pool.idle, if nobody uses it */
};

static struct {
	pthread_once_t once;
	struct lock lock;
	/* all below: lock */
	struct map *all;  /* target -> struct pooled */
	struct list idle; /* longest idle first */
	unsigned idle_count;
	struct timer timer;
	const struct rpc_tls *tls; /* set before all else */
} pool = {.once = PTHREAD_ONCE_INIT};

static void close_expired(struct timer *t);

static void pool_init(void)
{
	lock_init(&pool.lock, CHANNELS_LOCK_RANK);
	pool.all = map_new();
	list_init(&pool.idle);
	pool.timer.fire = close_expired;
}

/* Under the lock: takes it out of the pool; the caller frees it. */
static struct pooled *evict(struct list *link)
{
	struct pooled *p = list_entry(link, struct pooled, link);

	list_remove(link);
	pool.idle_count--;
	map_remove(pool.all, rpc_channel_target(p->channel));
	return p;
}

static void pooled_free(struct pooled *p)
{
	rpc_channel_free(p->channel);
	free(p);
}

/* The next that has been idle for at least min_ms, out of the pool; NULL if there is none. */
static struct pooled *pop_expired(int64_t min_ms)
{
	int64_t now_ms = clock_ms(), idle_ms;

	lock_guard(&pool.lock);
	if (list_empty(&pool.idle))
		return NULL;
	idle_ms = now_ms - list_entry(pool.idle.next, struct pooled, link)->idle_since_ms;
	if (idle_ms >= min_ms)
		return evict(pool.idle.next);
	timer_arm(&pool.timer, min_ms - idle_ms);
	return NULL;
}

static void close_expired(struct timer *t)
{
	struct pooled *p;

	(void)t;
	while ((p = pop_expired(IDLE_MS)) != NULL)
		pooled_free(p);
}

void channels_secure(const struct rpc_tls *tls)
{
	pool.tls = tls;
}

bool channels_are_secured(void)
{
	return !rpc_tls_is_off(pool.tls);
}

struct rpc_channel *channels_take(const char *target)
{
	struct pooled *p;

	pthread_once(&pool.once, pool_init);
	lock_guard(&pool.lock);
	p = map_get(pool.all, target);
	if (!p) {
		p = mem_new(struct pooled);
		p->channel = rpc_channel_new(target, pool.tls);
		list_init(&p->link);
		(void)map_put(pool.all, target, p);
	} else if (p->users == 0) {
		list_remove(&p->link);
		pool.idle_count--;
	}
	p->users++;
	return p->channel;
}

void channels_give(struct rpc_channel *ch)
{
	struct pooled *p, *surplus = NULL;

	lock_take(&pool.lock);
	p = map_get(pool.all, rpc_channel_target(ch));
	assert(p && p->channel == ch && p->users > 0);
	if (--p->users == 0) {
		p->idle_since_ms = clock_ms();
		list_push_back(&pool.idle, &p->link);
		if (++pool.idle_count == 1)
			timer_arm(&pool.timer, IDLE_MS);
		else if (pool.idle_count > IDLE_MAX)
			surplus = evict(pool.idle.next);
	}
	lock_drop(&pool.lock);
	if (surplus)
		pooled_free(surplus);
}

void channels_close_idle(void)
{
	struct pooled *p;

	pthread_once(&pool.once, pool_init);
	while ((p = pop_expired(0)) != NULL)
		pooled_free(p);
	timer_cancel(&pool.timer);
}

unsigned channels_count(void)
{
	pthread_once(&pool.once, pool_init);
	lock_guard(&pool.lock);
	return (unsigned)map_count(pool.all);
}
