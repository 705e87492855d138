/* A bounded table of windows. */
#include "control/manager/limiter.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

#define RANK_LIMITER 46
#define WINDOWS_MAX  20000

struct window {
	int64_t ends_ms;
	unsigned count;
};

struct limiter {
	struct lock lock;
	struct map *windows; /* lock */
};

struct limiter *limiter_new(void)
{
	struct limiter *l = mem_new(struct limiter);

	lock_init(&l->lock, RANK_LIMITER);
	l->windows = map_new();
	return l;
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
	int64_t now = clock_ms();
	struct window *w;

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
	lock_guard(&l->lock);
	free(map_remove(l->windows, key));
}
