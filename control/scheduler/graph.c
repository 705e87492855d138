/* Who feeds whom: edges from a child to its parents, without circles. */
#include "control/scheduler/state.h"

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
		if (reaches(w, from->parents[i]))
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

bool graph_link(struct state *s, struct peer *parent, struct peer *child)
{
	if (child->parent_count == PEER_PARENTS_MAX || graph_would_circle(s, parent, child))
		return false;
	child->parents[child->parent_count++] = parent;
	parent->child_count++;
	parent->host->assigned_bytes += child->task->content_length;
	parent->host->assigned_pieces += child->concurrent_pieces;
	return true;
}

void graph_unlink_parents(struct peer *child)
{
	for (uint32_t i = 0; i < child->parent_count; i++) {
		struct peer *parent = child->parents[i];

		assert(parent->child_count > 0);
		parent->child_count--;
		parent->host->assigned_bytes -= child->task->content_length;
		parent->host->assigned_pieces -= child->concurrent_pieces;
	}
	child->parent_count = 0;
}
