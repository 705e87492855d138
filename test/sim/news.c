/*
 * How a parent announces its pieces (SyncPieces). Told to all its children at once, each of them
 * asks for the new piece, and the link sends the same bytes as often as there are children before
 * anything else. Told in turn, while fewer than so many uploads run, the link sends each child
 * something else, and they exchange it.
 */
#include "test/sim/world.h"

#include "base/mem.h"

#define NOTHING	    UINT32_MAX
#define LINK_BUSY   0.8f
#define BUDGETS_MAX 8

static void tell(struct world *w, struct child *c, const struct listener *l, uint32_t piece)
{
	struct letter *m;

	if (bit_get(c->once, piece))
		bit_set(c->often, piece);
	bit_set(c->once, piece);
	bit_set(w->children[l->child].feeders[l->feeder].under_way, piece);
	m = mail_post(&w->announced, w->now_us + w->latency_us, HEAR_PIECE, l->child, l->feeder);
	m->parents[0] = piece;
}

static void has_news(struct world *w, struct child *c)
{
	if (c->has_news)
		return;
	c->has_news = true;
	w->herald[w->herald_count++] = world_index(w, c);
}

void news_subscribe(struct world *w, struct child *c, uint32_t feeder)
{
	struct child *parent = &w->children[c->feeders[feeder].child];
	struct listener l = {world_index(w, c), feeder};

	if (parent->listener_count == parent->listener_cap) {
		parent->listener_cap = parent->listener_cap ? 2 * parent->listener_cap : 8;
		parent->listeners =
			mem_realloc(parent->listeners, parent->listener_cap * sizeof(l));
	}
	parent->listeners[parent->listener_count++] = l;
	if (parent->done || parent->busy)
		has_news(w, parent);
}

void news_add(struct world *w, struct child *c, uint32_t piece)
{
	if (w->sc->slots > 0) {
		has_news(w, c);
		return;
	}
	for (uint32_t i = 0; i < c->listener_count; i++)
		tell(w, c, &c->listeners[i], piece);
}

/* A piece that this listener has not been told of; how: 0 nobody has, 1 one at most, 2 any. */
static uint32_t choose(const struct world *w, const struct child *c, const struct listener *l,
		       unsigned how, uint32_t start)
{
	const uint64_t *known = w->children[l->child].feeders[l->feeder].under_way;

	for (uint32_t i = 0; i < w->words; i++) {
		uint32_t k = (start + i) % w->words;
		uint64_t word = (c->have[k] | c->coming[k]) & ~known[k];

		if (how == 0)
			word &= ~c->once[k];
		if (how == 1)
			word &= ~c->often[k];
		if (word)
			return k * 64 + (uint32_t)__builtin_ctzll(word);
	}
	return NOTHING;
}

static bool listens(const struct world *w, const struct listener *l)
{
	const struct child *c = &w->children[l->child];

	return c->mode == PARENTS || c->mode == FROM_ORIGIN;
}

static bool tell_one(struct world *w, struct child *c, bool full, unsigned how, uint32_t start)
{
	for (uint32_t i = 0; i < c->listener_count; i++) {
		const struct listener *l = &c->listeners[(c->turn + i) % c->listener_count];
		uint32_t piece = NOTHING;

		if (listens(w, l) && w->children[l->child].is_full == full)
			piece = choose(w, c, l, how, start);
		if (piece == NOTHING)
			continue;
		tell(w, c, l, piece);
		c->turn += i + 1;
		return true;
	}
	return false;
}

/* One piece to one listener, what the fewest know first, and to who has room rather than to who is
 * full. fresh: nothing but what nobody knows. */
static bool tell_next(struct world *w, struct child *c, bool fresh)
{
	uint32_t start = (uint32_t)(world_random(w) % w->words);

	for (unsigned how = 0; how < (fresh ? 1 : 3); how++)
		for (unsigned full = 0; full < 2; full++)
			if (tell_one(w, c, full, how, start))
				return true;
	return false;
}

bool news_tell(struct world *w, struct child *c)
{
	uint32_t running = w->hosts[c->host].uploads;
	uint32_t budget = w->sc->slots ? w->sc->slots : UINT32_MAX;

	/* Slow children hold slots and leave the link idle. */
	if (running >= budget && w->net->links[2 * c->host].used < LINK_BUSY)
		budget = running < BUDGETS_MAX * budget ? running + 1 : budget;
	for (; running < budget; running++)
		if (!tell_next(w, c, c->mode == FROM_ORIGIN && running > 0))
			return c->mode == FROM_ORIGIN;
	return true;
}
