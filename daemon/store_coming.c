/*
 * A piece on its way, for those to whom it is passed on before it is whole. Its blocks are in the
 * task's file, each compared with its promised CRC-32 before it may be had.
 *
 *	a coming piece	until
 *	is found	its slot is committed, becomes volatile, or is given up
 *	lives		the slot and the last of those who found it have let go
 */
#include "base/mem.h"
#include "daemon/store_private.h"

struct store_coming {
	/* constant */
	struct store_task *task; /* borrowed: until it ends */
	struct store_coming_facts facts;
	uint32_t index, length, block_length;
	/* the task's lock */
	struct list link;
	/* atomic */
	unsigned refs;
	uint32_t blocks; /* bit: may be had */
	bool broken;
};

struct store_coming *store_coming_new(struct store_task *t, uint32_t index,
				      const struct store_coming_facts *facts)
{
	const struct geometry *g = &t->meta.geometry;
	struct store_coming *c = mem_new(struct store_coming);

	c->task = t;
	c->facts = *facts;
	c->index = index;
	c->length = geometry_length(g, index);
	c->block_length = geometry_block_length(g);
	c->refs = 1;
	lock_guard(&t->lock);
	list_push_back(&t->coming, &c->link);
	return c;
}

void store_coming_pass_on(struct store_coming *c, unsigned block)
{
	__atomic_or_fetch(&c->blocks, UINT32_C(1) << block, __ATOMIC_RELEASE);
}

void store_coming_end(struct store_coming *c, bool whole)
{
	if (!c)
		return;
	if (!whole)
		__atomic_store_n(&c->broken, true, __ATOMIC_RELEASE);
	{
		lock_guard(&c->task->lock);
		list_remove(&c->link);
	}
	store_coming_unref(c);
}

struct store_coming *store_coming_find(struct store_task *t, uint32_t index)
{
	lock_guard(&t->lock);
	list_each (it, &t->coming) {
		struct store_coming *c = list_entry(it, struct store_coming, link);

		if (c->index != index)
			continue;
		__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
		return c;
	}
	return NULL;
}

void store_coming_unref(struct store_coming *c)
{
	if (c && __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(c);
}

const struct store_coming_facts *store_coming_facts(const struct store_coming *c)
{
	return &c->facts;
}

bool store_coming_stretch(const struct store_coming *c, uint32_t from, uint32_t *len_out)
{
	uint32_t blocks = __atomic_load_n(&c->blocks, __ATOMIC_ACQUIRE), end = from;

	while (end < c->length && blocks >> (end / c->block_length) & 1)
		end = (end / c->block_length + 1) * c->block_length;
	*len_out = (end < c->length ? end : c->length) - from;
	return !__atomic_load_n(&c->broken, __ATOMIC_ACQUIRE);
}
