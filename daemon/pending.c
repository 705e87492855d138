#include "daemon/pending.h"

#define RANK_PENDING 9

void pendings_init(struct pendings *ps)
{
	lock_init(&ps->lock, RANK_PENDING);
	cond_init(&ps->none);
	ps->count = 0;
}

void pendings_release(struct pendings *ps)
{
	lock_take(&ps->lock);
	while (ps->count > 0)
		cond_wait(&ps->none, &ps->lock);
	lock_drop(&ps->lock);
	cond_release(&ps->none);
	lock_release(&ps->lock);
}

void pending_begin(struct pending *p, struct pendings *all, void *ask, void **slot,
		   void (*free_fn)(struct pending *p))
{
	p->free = free_fn;
	p->all = all;
	p->refs = 1;
	p->ask = ask;
	p->slot = slot;
	lock_guard(&all->lock);
	*slot = p;
	all->count++;
}

void pending_ref(struct pending *p)
{
	lock_guard(&p->all->lock);
	p->refs++;
}

void pending_unref(struct pending *p)
{
	struct pendings *all = p->all;
	bool last;

	lock_take(&all->lock);
	last = --p->refs == 0;
	lock_drop(&all->lock);
	if (!last)
		return;
	p->free(p);
	lock_take(&all->lock);
	if (--all->count == 0)
		cond_wake_all(&all->none);
	lock_drop(&all->lock);
}

/* With the lock held. */
static void *detach(struct pending *p)
{
	void *ask = p->ask;

	if (ask)
		*p->slot = NULL;
	p->ask = NULL;
	return ask;
}

void *pending_answer(struct pending *p)
{
	lock_guard(&p->all->lock);
	return detach(p);
}

struct pending *pending_take_back(struct pendings *all, void **slot)
{
	struct pending *p;

	lock_guard(&all->lock);
	p = *slot;
	if (!p)
		return NULL;
	detach(p);
	p->refs++;
	return p;
}
