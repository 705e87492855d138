/* What a fetcher takes next: by rank, and within it as it asks. Two bitmaps make looking cheap. */
#include "base/bits.h"
#include "base/clock.h"
#include "daemon/piece_private.h"

/* ---- looking; all with the lock */

/* What a fetcher looks for: pieces to prove, or pieces to fetch out of have (NULL = any). */
struct filter {
	bool proof;
	bool near; /* nothing but what readers want */
	const uint64_t *have;
	const struct piece_offer *offer; /* NULL = in ascending order */
};

static uint64_t allowed(const struct pieces *p, const struct filter *f, uint32_t word)
{
	uint64_t unproven = p->unproven ? p->unproven[word] : 0;

	if (f->proof)
		return unproven;
	return (f->have ? f->have[word] : UINT64_MAX) & ~unproven;
}

/* only: NULL, or a bitmap of those that count. */
static bool scan(const struct pieces *p, const struct filter *f, const uint64_t *only,
		 uint32_t from, uint32_t end, uint32_t *index_out)
{
	for (uint32_t at = from; at < end; at = (at / 64 + 1) * 64) {
		uint64_t bits = p->open[at / 64] & allowed(p, f, at / 64);

		bits &= UINT64_MAX << (at % 64) & (only ? only[at / 64] : UINT64_MAX);
		if (!bits)
			continue;
		*index_out = at / 64 * 64 + (uint32_t)__builtin_ctzll(bits);
		return *index_out < end;
	}
	return false;
}

/* A piece that another's run will come to only after one more: a reader need not wait for that. */
static bool may_steal(const struct pieces *p, uint32_t index)
{
	return p->state[index] == RESERVED && index > 0 && p->state[index - 1] == RESERVED;
}

static bool may_take(const struct pieces *p, const struct filter *f, uint32_t index)
{
	return (allowed(p, f, index / 64) >> index % 64 & 1) &&
	       (bit_get(p->open, index) || may_steal(p, index));
}

static bool find_urgent(const struct pieces *p, const struct filter *f, uint32_t *index_out)
{
	list_each (it, &p->wanted) {
		*index_out = list_entry(it, struct want, link)->index;
		if (may_take(p, f, *index_out))
			return true;
	}
	for (unsigned i = 0; i < PIECE_HURRIED_MAX && p->all_rank != PIECE_NONE; i++) {
		*index_out = p->hurried[i] - 1;
		if (p->hurried[i] && may_take(p, f, *index_out))
			return true;
	}
	return false;
}

/* The one that has been waited for longest among those that are not in have. */
static const struct want *find_stuck(const struct pieces *p, const uint64_t *have)
{
	const struct want *stuck = NULL;

	list_each (it, &p->wanted) {
		const struct want *w = list_entry(it, struct want, link);

		if (p->state[w->index] == WANTED && !(have && bit_get(have, w->index)) &&
		    (!stuck || w->since_ms < stuck->since_ms))
			stuck = w;
	}
	return stuck;
}

static bool find_near(const struct pieces *p, const struct filter *f, uint32_t *index_out)
{
	for (unsigned n = 0; n < AHEAD_STREAMS; n++) {
		uint32_t first, end;

		if (ahead_window(&p->ahead, &p->g, n, &first, &end) &&
		    scan(p, f, NULL, first, end, index_out))
			return true;
	}
	return false;
}

/* The rarest first, so that those who download the same soon have what others lack. */
static bool find_rare(const struct pieces *p, const struct filter *f, uint32_t *index_out)
{
	const struct piece_offer *o = f->offer;
	const uint64_t *const sets[] = {o->rare[0], o->rare[1], o->have};
	uint32_t from = o->from > p->low ? o->from : p->low, end = p->g.piece_count;

	for (unsigned i = 0; i < 3; i++)
		if (scan(p, f, sets[i], from, end, index_out) ||
		    scan(p, f, sets[i], p->low, from, index_out))
			return true;
	return false;
}

/* In ascending order, for those who stream, unless there is a choice. */
static bool find_any(const struct pieces *p, const struct filter *f, uint32_t *index_out)
{
	if (f->near)
		return false;
	if (f->offer)
		return find_rare(p, f, index_out);
	return scan(p, f, NULL, p->low, p->g.piece_count, index_out);
}

static const struct filter anything = {0}, proofs = {.proof = true};

static bool find(const struct pieces *p, enum piece_rank least, const struct filter *f,
		 struct piece_job *out)
{
	for (enum piece_rank rank = PIECE_URGENT; rank <= least && rank < PIECE_NONE; rank++) {
		out->rank = rank;
		if (rank == PIECE_URGENT && find_urgent(p, f, &out->index))
			return true;
		if (rank == PIECE_NEAR && find_near(p, f, &out->index))
			return true;
		/* What is on disk is proved sooner or later, asked for or not. */
		if ((p->all_rank <= rank || (f->proof && rank == PIECE_REST)) &&
		    find_any(p, f, &out->index))
			return true;
	}
	return false;
}

bool pieces_have_ahead(struct pieces *p)
{
	uint32_t index;

	return find_near(p, &anything, &index) || find_near(p, &proofs, &index);
}

/* ---- taking */

static void start(struct pieces *p, uint32_t index)
{
	struct want *w = piece_want_find(p, index);

	if (w)
		list_remove(&w->link);
	piece_set_state(p, index, FETCHING);
}

static bool take(struct pieces *p, enum piece_rank least, const struct filter *f,
		 struct piece_job *out)
{
	lock_guard(&p->lock);
	if (!find(p, least, f, out))
		return false;
	start(p, out->index);
	return true;
}

bool piece_take(struct pieces *p, enum piece_rank least, const uint64_t *have,
		struct piece_job *out)
{
	return take(p, least, &(struct filter){.have = have}, out);
}

bool piece_take_near(struct pieces *p, enum piece_rank least, const uint64_t *have,
		     struct piece_job *out)
{
	return take(p, least, &(struct filter){.near = true, .have = have}, out);
}

bool piece_take_rare(struct pieces *p, enum piece_rank least, const struct piece_offer *offer,
		     struct piece_job *out)
{
	return take(p, least, &(struct filter){.have = offer->have, .offer = offer}, out);
}

bool piece_take_overdue(struct pieces *p, const uint64_t *have, int64_t before_ms,
			struct piece_job *out)
{
	const struct want *w;

	lock_guard(&p->lock);
	w = find_stuck(p, have);
	if (!w || w->since_ms > before_ms)
		return false;
	out->index = w->index;
	out->rank = PIECE_URGENT;
	start(p, out->index);
	return true;
}

bool piece_take_proof(struct pieces *p, enum piece_rank least, struct piece_job *out)
{
	return take(p, least, &proofs, out);
}

static bool is_wanted(struct pieces *p, uint32_t index, enum piece_rank least)
{
	if (p->all_rank <= least || piece_want_find(p, index))
		return true;
	return least >= PIECE_NEAR && ahead_has(&p->ahead, &p->g, index);
}

uint32_t piece_reserve(struct pieces *p, uint32_t index, enum piece_rank least, uint32_t count_max,
		       uint64_t bytes_max)
{
	uint64_t bytes = 0;
	uint32_t n = 0;

	lock_guard(&p->lock);
	for (uint32_t i = index + 1; i < p->g.piece_count && n < count_max; i++) {
		bytes += geometry_length(&p->g, i);
		if (bytes > bytes_max || !bit_get(p->open, i) || p->state[i] == UNPROVEN ||
		    !is_wanted(p, i, least))
			break;
		piece_set_state(p, i, RESERVED);
		n++;
	}
	return n;
}

bool piece_claim(struct pieces *p, uint32_t index)
{
	lock_guard(&p->lock);
	if (p->state[index] != RESERVED && p->state[index] != ABSENT && p->state[index] != WANTED)
		return false;
	start(p, index);
	return true;
}

/* ---- what there is to do */

void pieces_need(struct pieces *p, const uint64_t *have, struct pieces_need *out)
{
	const struct filter f = {.have = have};
	const struct want *stuck;
	struct piece_job job;

	lock_guard(&p->lock);
	stuck = find_stuck(p, have);
	out->urgent = find_urgent(p, &anything, &job.index) || find_urgent(p, &proofs, &job.index);
	out->proof = find(p, PIECE_REST, &proofs, &job);
	out->fetch = find(p, PIECE_REST, &anything, &job);
	out->possible = out->fetch && find(p, PIECE_REST, &f, &job);
	out->fetching = p->fetching_count > 0;
	out->stuck_since_ms = stuck ? stuck->since_ms : 0;
	out->stuck = stuck ? stuck->index : 0;
	out->complete = p->ready_count == p->g.piece_count;
	out->waiters = p->waiters;
}

unsigned pieces_stuck(struct pieces *p, const uint64_t *have, struct piece_stuck *out, unsigned max)
{
	unsigned n = 0;

	lock_guard(&p->lock);
	list_each (it, &p->wanted) {
		const struct want *w = list_entry(it, struct want, link);

		if (n < max && p->state[w->index] == WANTED && !(have && bit_get(have, w->index)))
			out[n++] = (struct piece_stuck){w->index, w->since_ms,
							bits_alone(p->open, have, w->index)};
	}
	return n;
}
