/* Intrusive doubly linked list: the head and every link are struct list, a lone link points to
 * itself. Nothing is allocated; the owner of the element owns the memory and the lock. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/cleanup.h"

#include <stdbool.h>

struct list {
	struct list *prev, *next;
};

#define LIST_INIT(name)                                                                            \
	{                                                                                          \
		&(name), &(name)                                                                   \
	}

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *l)
{
	l->prev = at->prev;
	l->next = at;
	at->prev->next = l;
	at->prev = l;
}

static inline void list_push_back(struct list *head, struct list *l)
{
	list_insert_before(head, l);
}

static inline void list_push_front(struct list *head, struct list *l)
{
	list_insert_before(head->next, l);
}

/* Safe on a link that is in no list, as long as it was initialised. */
static inline void list_remove(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	list_init(l);
}

static inline struct list *list_pop_front(struct list *head)
{
	struct list *l = head->next;

	if (l == head)
		return NULL;
	list_remove(l);
	return l;
}

/* Moves all of src to the end of dst. */
static inline void list_splice(struct list *dst, struct list *src)
{
	if (list_empty(src))
		return;
	src->next->prev = dst->prev;
	dst->prev->next = src->next;
	src->prev->next = dst;
	dst->prev = src->prev;
	list_init(src);
}

#define list_entry(l, type, member) container_of(l, type, member)
/* NOLINTBEGIN(bugprone-macro-parentheses): "it" names a variable */
#define list_each(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
#define list_each_safe(it, head)                                                                   \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                  \
	     it = it##_next, it##_next = it->next)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
