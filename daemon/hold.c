/* Pieces in memory (hold.h). */
#include "daemon/hold.h"

#include "base/clock.h"
#include "base/mem.h"

struct hold *hold_new(struct store *store, uint32_t index, int fd)
{
	struct hold *h = mem_new(struct hold);

	*h = (struct hold){.refs = 1, .fd = fd, .store = store, .index = index};
	h->used_ms = clock_ms();
	list_init(&h->link);
	return h;
}

void hold_ref(struct hold *h)
{
	__atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED);
}

void hold_unref(struct hold *h)
{
	if (__atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	store_volatile_close(h->store, h->fd);
	free(h);
}

struct hold *hold_find(struct list *holds, uint32_t index)
{
	list_each (it, holds) {
		struct hold *h = list_entry(it, struct hold, link);

		if (h->index == index)
			return h;
	}
	return NULL;
}

void holds_unref(struct list *gone)
{
	for (struct list *l = list_pop_front(gone); l; l = list_pop_front(gone))
		hold_unref(list_entry(l, struct hold, link));
}
