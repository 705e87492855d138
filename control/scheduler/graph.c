/* Who feeds whom: edges from a child to its parents. Those that are not mates make no circle. */
#include "control/scheduler/state.h"

#include "base/mem.h"

#include <assert.h>

/* A walk gives up after so many peers: better no edge than a slow scheduler. */
#define WALK_MAX 4096

struct walk {
	const struct peer *sought;
	uint64_t mark;
	unsigned seen;
};

static bool reaches(struct walk *w, struct peer *from)
{
	if (from == w->sought || w->seen >= WALK_MAX)
		return true;
	if (from->mark == w->mark)
		return false;
	from->mark = w->mark;
	w->seen++;
	for (uint32_t i = 0; i < from->parent_count; i++)
		if (!from->edges[i].is_mate && reaches(w, from->edges[i].parent))
			return true;
	return false;
}

bool graph_would_circle(struct state *s, struct peer *parent, const struct peer *child)
{
	struct walk w = {.sought = child, .mark = ++s->walk};

	/* Nobody below the child: nothing can lead back to it. */
	if (child->child_count == 0)
		return parent == child;
	return reaches(&w, parent);
}

bool graph_is_parent(const struct peer *parent, const struct peer *child)
{
	for (uint32_t i = 0; i < child->parent_count; i++)
		if (child->edges[i].parent == parent)
			return true;
	return false;
}

static bool link_as(struct peer *parent, struct peer *child, bool is_mate)
{
	struct edge *e;

	if (child->parent_count == PEER_PARENTS_MAX)
		return false;
	if (!child->edges)
		child->edges = mem_array(PEER_PARENTS_MAX, sizeof(*child->edges));
	e = &child->edges[child->parent_count++];
	*e = (struct edge){.parent = parent, .child = child, .is_mate = is_mate};
	list_push_back(&parent->children, &e->link);
	parent->child_count++;
	parent->host->child_count++;
	parent->host->assigned_bytes += child->task->content_length;
	parent->host->assigned_pieces += child->concurrent_pieces;
	task_sort(child);
	return true;
}

bool graph_link(struct state *s, struct peer *parent, struct peer *child)
{
	return !graph_would_circle(s, parent, child) && link_as(parent, child, false);
}

bool graph_link_mate(struct peer *parent, struct peer *child)
{
	return parent != child && !graph_is_parent(parent, child) && link_as(parent, child, true);
}

static void edge_cut(struct edge *e)
{
	struct peer *parent = e->parent, *child = e->child;

	assert(parent->child_count > 0);
	list_remove(&e->link);
	parent->child_count--;
	parent->host->child_count--;
	parent->host->assigned_bytes -= child->task->content_length;
	parent->host->assigned_pieces -= child->concurrent_pieces;
}

void graph_unlink_parents(struct peer *child)
{
	for (uint32_t i = 0; i < child->parent_count; i++)
		edge_cut(&child->edges[i]);
	child->parent_count = 0;
	free(child->edges);
	child->edges = NULL;
	task_sort(child);
}

/* Its children keep what they have and find out by themselves. */
void graph_unlink_children(struct peer *parent)
{
	while (!list_empty(&parent->children)) {
		struct edge *e = list_entry(parent->children.next, struct edge, link), *last;
		struct peer *child = e->child;

		edge_cut(e);
		last = &child->edges[--child->parent_count];
		if (e != last) {
			/* The last edge moves into the gap, and its link with it. */
			e->parent = last->parent;
			e->is_mate = last->is_mate;
			list_insert_before(&last->link, &e->link);
			list_remove(&last->link);
		}
		task_sort(child);
	}
}
