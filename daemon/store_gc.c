/* Room: TTL, quota with its marks, removal. Least recently used first, never what is referenced,
 * and nothing unfinished that somebody may want to go on with. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/store_private.h"

#include <assert.h>
#include <inttypes.h>

struct victims {
	struct store_task **tasks;
	size_t count;
	uint64_t bytes;
};

static int by_access(const void *a, const void *b)
{
	int64_t x = (*(struct store_task *const *)a)->meta.accessed_ms;
	int64_t y = (*(struct store_task *const *)b)->meta.accessed_ms;

	return (x > y) - (x < y);
}

static bool is_finished(struct store_task *t)
{
	lock_guard(&t->lock);
	return t->recorded == t->meta.geometry.piece_count;
}

static bool has_expired(const struct store *s, const struct store_task *t, int64_t now)
{
	return s->config.task_ttl_ms > 0 && now - t->meta.accessed_ms > s->config.task_ttl_ms;
}

static bool may_go(const struct store *s, struct store_task *t, int64_t now)
{
	return is_finished(t) || now - t->meta.accessed_ms > s->config.unfinished_ttl_ms;
}

/* Under the lock: marks busy and returns what goes until at most bytes_max are left, and what has
 * expired. */
static struct victims choose(struct store *s, uint64_t bytes_max)
{
	struct victims v = {.tasks = mem_array(map_count(s->tasks), sizeof(struct store_task *))};
	int64_t now = clock_wall_ms();
	size_t at = 0, count = 0;
	const char *key;
	void *value;

	while (map_next(s->tasks, &at, &key, &value)) {
		struct store_task *t = value;

		if (!t->busy && t->refs == 0)
			v.tasks[count++] = t;
	}
	qsort(v.tasks, count, sizeof(struct store_task *), by_access);
	for (size_t i = 0; i < count; i++) {
		struct store_task *t = v.tasks[i];

		if (!has_expired(s, t, now) &&
		    (s->bytes + s->others <= bytes_max || !may_go(s, t, now)))
			continue;
		t->busy = true;
		s->bytes -= t->bytes;
		v.bytes += t->bytes;
		t->bytes = 0;
		v.tasks[v.count++] = t;
	}
	s->evicted += v.count;
	s->drained = s->bytes + s->others > bytes_max;
	return v;
}

static unsigned evict(struct store *s, uint64_t bytes_max)
{
	struct victims v;

	lock_take(&s->lock);
	v = choose(s, bytes_max);
	lock_drop(&s->lock);
	for (size_t i = 0; i < v.count; i++) {
		log_debug("task evicted", "task=%s", v.tasks[i]->meta.id);
		store_task_unlink(s, v.tasks[i]->meta.id);
		store_forget(v.tasks[i]);
	}
	if (v.count > 0)
		log_info("tasks evicted", "count=%zu bytes=%" PRIu64, v.count, v.bytes);
	free(v.tasks);
	return (unsigned)v.count;
}

unsigned store_gc(struct store *s)
{
	bool is_high;

	{
		lock_guard(&s->lock);
		is_high = s->bytes + s->others > s->high;
	}
	return evict(s, is_high ? s->low : UINT64_MAX);
}

void store_make_room(struct store *s, uint64_t need)
{
	{
		lock_guard(&s->lock);
		/* What cannot fit at all should not empty the store; nor is it worth looking again
		 * before some task became idle. */
		if (s->bytes + s->others + need <= s->high || need > s->low || s->drained)
			return;
	}
	evict(s, s->low - need);
}

bool store_make_disk_room(struct store *s, uint64_t need)
{
	uint64_t bytes, others, part;

	{
		lock_guard(&s->lock);
		if (s->drained)
			return false;
		bytes = s->bytes;
		others = s->others;
	}
	/* Enough for some pieces more, and not the whole store when many ask at once. */
	part = need * 16 < bytes / 4 ? need * 16 : bytes / 4;
	if (part < need)
		part = need;
	return evict(s, others + (bytes > part ? bytes - part : 0)) > 0;
}

void store_set_others(struct store *s, uint64_t bytes)
{
	lock_guard(&s->lock);
	s->others = bytes;
}

uint64_t store_excess(struct store *s)
{
	lock_guard(&s->lock);
	return s->bytes + s->others > s->high ? s->bytes + s->others - s->low : 0;
}

void store_task_remove(struct store_task *t)
{
	struct store *s = t->store;

	{
		lock_guard(&s->lock);
		assert(t->refs > 0);
		if (t->removed)
			return;
		t->removed = true;
		t->busy = true;
	}
	store_task_unlink(s, t->meta.id);
	lock_guard(&s->lock);
	map_remove(s->tasks, t->meta.id);
	t->busy = false;
	cond_wake_all(&s->settled);
}
