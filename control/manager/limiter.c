/* A bounded table of windows. */
#include "control/manager/limiter.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "control/manager/redis.h"

#define RANK_LIMITER 46
#define WINDOWS_MAX  20000

struct window {
	int64_t ends_ms;
	unsigned count;
};

struct limiter {
	struct lock lock;
	struct map *windows; /* lock */
	struct redis *redis; /* NULL: nobody to count with */
};

struct limiter *limiter_new(void)
{
	struct limiter *l = mem_new(struct limiter);

	lock_init(&l->lock, RANK_LIMITER);
	l->windows = map_new();
	return l;
}

void limiter_share(struct limiter *l, struct redis *redis)
{
	l->redis = redis;
}

/* Those that ended, or all. */
static void drop_windows(struct limiter *l, bool all)
{
	int64_t now = clock_ms();
	const char *key;
	size_t at = 0;
	void *value;

	while (map_next(l->windows, &at, &key, &value)) {
		struct window *w = value;

		if (!all && w->ends_ms > now)
			continue;
		map_remove(l->windows, key);
		free(w);
	}
}

void limiter_free(struct limiter *l)
{
	if (!l)
		return;
	drop_windows(l, true);
	map_free(l->windows);
	lock_release(&l->lock);
	free(l);
}

bool limiter_take(struct limiter *l, const char *key, unsigned max, int64_t window_ms)
{
	int64_t now = clock_ms(), count;
	struct window *w;

	if (l->redis && redis_count(l->redis, key, window_ms, &count, NULL) == 0)
		return count <= max;

	lock_guard(&l->lock);
	w = map_get(l->windows, key);
	if (!w) {
		if (map_count(l->windows) >= WINDOWS_MAX)
			drop_windows(l, false);
		if (map_count(l->windows) >= WINDOWS_MAX)
			return false;
		w = mem_new(struct window);
		map_put(l->windows, key, w);
	}
	if (w->ends_ms <= now)
		*w = (struct window){.ends_ms = now + window_ms};
	if (w->count >= max)
		return false;
	w->count++;
	return true;
}

void limiter_forget(struct limiter *l, const char *key)
{
	struct err e;

	if (l->redis && redis_forget(l->redis, key, &e) < 0)
		e.code = 0; /* told by redis.c; the window ends by itself */
	lock_guard(&l->lock);
	free(map_remove(l->windows, key));
}
