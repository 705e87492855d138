/* One run at a time on a pool (actor.h). */
#include "daemon/actor.h"

#include <assert.h>

enum { IDLE, DUE, DUE_AGAIN }; /* DUE: queued or running */

void actor_init(struct actor *a)
{
	atomic_init(&a->refs, 1);
	atomic_init(&a->state, IDLE);
}

void actor_ref(struct actor *a)
{
	atomic_fetch_add(&a->refs, 1);
}

void actor_unref(struct actor *a)
{
	if (atomic_fetch_sub(&a->refs, 1) == 1)
		a->free(a);
}

static void job(void *arg)
{
	struct actor *a = arg;
	int state;

	do {
		atomic_store(&a->state, DUE);
		a->run(a);
		state = DUE;
	} while (!atomic_compare_exchange_strong(&a->state, &state, IDLE));
	actor_unref(a);
}

void actor_wake(struct actor *a)
{
	int state = atomic_load(&a->state);

	for (;;) {
		int next = state == IDLE ? DUE : DUE_AGAIN;

		if (state == DUE_AGAIN)
			return;
		if (!atomic_compare_exchange_weak(&a->state, &state, next))
			continue;
		if (next == DUE_AGAIN)
			return;
		actor_ref(a);
		bool queued = pool_run(a->pool, job, a);
		assert(queued);
		(void)queued;
		return;
	}
}
