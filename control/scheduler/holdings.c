/* Which pieces of a task are with somebody: what tells a swarm that can help itself from one that
 * needs the origin. A peer that has all has no bitmap; it is known by its state. */
#include "control/scheduler/state.h"

#include "base/bits.h"
#include "base/mem.h"

/* Content of more pieces is not counted: lengths come from outside. */
#define PIECES_MAX 65536

static bool is_counted(const struct task *t)
{
	return t->piece_count > 0 && t->piece_count <= PIECES_MAX;
}

void holdings_add(struct peer *p, uint32_t index)
{
	struct task *t = p->task;

	if (!is_counted(t) || index >= t->piece_count || p->state == PEER_SUCCEEDED)
		return;
	if (!t->holders) {
		t->holders = mem_array(t->piece_count, sizeof(*t->holders));
		t->lost_pieces = t->piece_count;
	}
	if (!p->pieces)
		p->pieces = mem_array(t->piece_count / 64 + 1, sizeof(*p->pieces));
	if (bit_get(p->pieces, index))
		return;
	bit_set(p->pieces, index);
	if (t->holders[index]++ == 0)
		t->lost_pieces--;
}

void holdings_drop(struct peer *p)
{
	struct task *t = p->task;

	for (uint32_t i = 0; p->pieces && i < t->piece_count; i++)
		if (bit_get(p->pieces, i) && --t->holders[i] == 0)
			t->lost_pieces++;
	free(p->pieces);
	p->pieces = NULL;
}

bool holdings_lost(const struct task *t)
{
	if (t->in_state[PEER_SUCCEEDED] > 0)
		return false;
	return !t->holders || t->lost_pieces > 0;
}
