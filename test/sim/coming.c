/*
 * Pieces that are passed on before they are whole (daemon/store_coming.c): a flow of a piece that
 * its sender has not got yet gets no further than the sender's own, block by block.
 */
#include "test/sim/world.h"

#include "base/geometry.h"

#include <math.h>

#define TOLD_OF 4 /* a piece is announced when that part of it is here */

/* Of this piece, by the hand that has most of it; 0: none that can be passed on. */
static float bytes_of(const struct world *w, const struct child *c, uint32_t piece)
{
	float length = (float)world_piece_bytes(w, piece), most = 0;

	for (unsigned i = 0; i < w->sc->hands && c->busy; i++) {
		const struct flow *f = &c->hands[i];

		/* What an origin sends cannot be compared before it is whole, what a liar sends is
		 * found at once. */
		if (f->busy && f->piece == piece && f->from != ORIGIN &&
		    !w->hosts[f->from].is_liar && length - f->left > most)
			most = length - f->left;
	}
	return most;
}

static float in_blocks(const struct world *w, float bytes)
{
	float block = (float)(w->piece_length / PIECE_BLOCKS);

	return floorf(bytes / block) * block;
}

bool coming_limits(struct world *w, const struct child *c, struct flow *f)
{
	const struct child *from = f->from == ORIGIN ? NULL : world_child(w, f->from, c->task);
	float length = (float)world_piece_bytes(w, f->piece), here;

	f->limit = INFINITY;
	if (!from || bit_get(from->have, f->piece))
		return true;
	here = bytes_of(w, from, f->piece);
	f->limit = (in_blocks(w, here) - (length - f->left)) / ((float)w->step_us * 1e-6f);
	if (f->limit < 0)
		f->limit = 0;
	return here > 0;
}

void coming_moved(struct world *w, struct child *c, const struct flow *f)
{
	if (!w->sc->passes_on || bit_get(c->coming, f->piece) ||
	    bytes_of(w, c, f->piece) < (float)w->piece_length / TOLD_OF)
		return;
	bit_set(c->coming, f->piece);
	news_add(w, c, f->piece);
}

void coming_lost(struct world *w, struct child *c, const struct flow *f)
{
	(void)w;
	bit_clear(c->feeders[f->feeder].told, f->piece);
	bit_clear(c->feeders[f->feeder].under_way, f->piece);
}
