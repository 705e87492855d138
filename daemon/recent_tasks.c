/* Tasks that are asked for piece by piece (recent_tasks.h). */
#include "daemon/recent_tasks.h"

#include <string.h>

#define KEPT_MS 1000

static void expired(struct loop_timer *t)
{
	recent_tasks_forget(t->arg);
}

void recent_tasks_init(struct recent_tasks *r, struct store *store, struct loop *loop)
{
	*r = (struct recent_tasks){.store = store, .loop = loop};
	r->timer = (struct loop_timer){.fire = expired, .arg = r};
	list_init(&r->timer.link);
}

void recent_tasks_forget(struct recent_tasks *r)
{
	while (r->count > 0)
		store_task_unref(r->tasks[--r->count]);
}

struct store_task *recent_tasks_find(struct recent_tasks *r, const char *id)
{
	struct store_task *task;
	struct err e;

	for (unsigned i = 0; i < r->count; i++) {
		if (strcmp(store_task_meta(r->tasks[i])->id, id) != 0)
			continue;
		store_task_ref(r->tasks[i]);
		return r->tasks[i];
	}
	if (store_find(r->store, id, &task, &e) < 0)
		return NULL;
	store_task_touch(task);
	if (r->count == RECENT_TASKS_MAX)
		recent_tasks_forget(r);
	/* All go a second after the first came: what was removed meanwhile is not served on. */
	if (r->count == 0)
		loop_timer_arm(r->loop, &r->timer, KEPT_MS);
	r->tasks[r->count++] = task;
	store_task_ref(task);
	return task;
}
