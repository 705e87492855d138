/* The parents of one download. A dropped feeder stays in the list, without bitmap, so that the
 * scheduler can be told who was tried and nobody is taken twice. */
#include "daemon/swarm.h"

#include "base/bits.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define BANNED_MAX     64
#define MISSES_MAX     3
#define LOSSES_MAX     32 /* who passes on eight pieces may lose them all at once, more than once */
#define LATE_MAX       3
#define TX_MAX_UNKNOWN (UINT64_C(10000000000) / 8) /* 10 Gbit/s, as Dragonfly's client */

struct swarm {
	struct swarm_config c; /* constant */
	uint32_t words;	       /* constant: of a bitmap */
	/* under c.lock */
	struct list feeders;
	unsigned feeder_count; /* dropped ones among them */
	uint64_t *have;
	uint64_t *one, *two; /* what one and what two parents have, as of swarm_draw() */
	bool somebody;
	unsigned asked; /* how often all were asked again */
	uint64_t random;
	char banned[BANNED_MAX][sizeof(((struct parent_info *)0)->host_id)];
	unsigned banned_count;
};

struct swarm *swarm_new(const struct swarm_config *c)
{
	struct swarm *s = mem_new(struct swarm);

	s->c = *c;
	s->words = c->geometry.piece_count / 64 + 1;
	list_init(&s->feeders);
	s->have = mem_array(s->words, sizeof(uint64_t));
	s->one = mem_array(s->words, sizeof(uint64_t));
	s->two = mem_array(s->words, sizeof(uint64_t));
	s->random = (uint64_t)clock_us() ^ (uint64_t)(uintptr_t)s;
	return s;
}

void swarm_free(struct swarm *s)
{
	if (!s)
		return;
	swarm_clear(s);
	free(s->have);
	free(s->one);
	free(s->two);
	free(s);
}

/* ---- with the lock */

static void feeder_unref(struct feeder *f)
{
	if (--f->refs > 0)
		return;
	free(f->have);
	free(f->offered);
	free(f->again);
	free(f);
}

static bool has(const struct feeder *f, uint32_t index)
{
	return !f->dropped && bit_get(f->have, index);
}

static void sum_up(struct swarm *s)
{
	memset(s->have, 0, s->words * sizeof(uint64_t));
	s->somebody = false;
	list_each (it, &s->feeders) {
		struct feeder *f = list_entry(it, struct feeder, link);

		if (f->dropped || !f->told)
			continue;
		s->somebody = true;
		for (uint32_t i = 0; i < s->words; i++)
			s->have[i] |= f->have[i];
	}
}

bool swarm_drop(struct swarm *s, struct feeder *f, bool forever)
{
	if (forever && s->banned_count < BANNED_MAX)
		memcpy(s->banned[s->banned_count++], f->info.host_id, sizeof(f->info.host_id));
	if (f->dropped)
		return false;
	f->dropped = true;
	sum_up(s);
	return true;
}

/* New ones count for a quarter. */
static void smooth(uint32_t *usual_ms, int64_t ms)
{
	uint32_t now_ms = (uint32_t)(ms < 1 ? 1 : ms);

	*usual_ms = *usual_ms ? *usual_ms - *usual_ms / 4 + now_ms / 4 + 1 : now_ms;
}

/* ---- what parents tell, on the rpc thread */

/* With the lock. */
static void note_pace(struct feeder *f)
{
	int64_t now = clock_ms();

	if (f->told_ms)
		smooth(&f->pace_ms, now - f->told_ms);
	f->told_ms = now;
}

static void on_piece(struct parent *p, const struct parent_piece *piece, void *arg)
{
	struct feeder *f = arg;
	struct swarm *s = f->swarm;
	const struct geometry *g = &s->c.geometry;
	uint32_t number = piece->number;

	(void)p;
	lock_take(s->c.lock);
	if (number >= g->piece_count || piece->offset != geometry_offset(g, number) ||
	    piece->length != geometry_length(g, number)) {
		/* It speaks of other content, or nonsense. */
		swarm_drop(s, f, true);
	} else if (!f->dropped) {
		f->told = true;
		f->addr = piece->addr;
		f->by_blocks = piece->by_blocks;
		bit_set(f->have, number);
		if (!piece->later) {
			note_pace(f);
			if (bit_get(f->offered, number))
				bit_set(f->again, number);
			bit_set(f->offered, number);
		}
		bit_set(s->have, number);
		s->somebody = true;
	}
	lock_drop(s->c.lock);
	s->c.changed(s->c.arg);
}

static void on_bandwidth(struct parent *p, uint64_t tx, uint64_t tx_max, void *arg)
{
	struct feeder *f = arg;

	(void)p;
	lock_guard(f->swarm->c.lock);
	f->tx = tx;
	f->tx_max = tx_max;
}

static void on_closed(struct parent *p, const struct err *e, void *arg)
{
	struct feeder *f = arg;
	struct swarm *s = f->swarm;
	bool dropped = false;

	(void)p;
	lock_take(s->c.lock);
	f->ended = true;
	/* What was to be offered later is not any more. */
	memcpy(f->offered, f->have, s->words * sizeof(uint64_t));
	if (e && !f->told)
		dropped = swarm_drop(s, f, false);
	lock_drop(s->c.lock);
	/* One that has the task no more is nothing to tell of. */
	if (dropped && e->code == EHOSTUNREACH)
		log_warn("parent dropped", "task=%s host=%s why=\"%s\"", s->c.task_id,
			 f->info.host_id, e->text);
	s->c.changed(s->c.arg);
}

static const struct parent_ops ops = {
	.piece = on_piece, .bandwidth = on_bandwidth, .closed = on_closed};

/* ---- coming and going */

/* With the lock. */
static bool is_welcome(const struct swarm *s, const struct parent_info *info)
{
	if (s->feeder_count >= SWARM_FEEDERS_MAX || strcmp(info->host_id, s->c.own_host_id) == 0)
		return false;
	for (unsigned i = 0; i < s->banned_count; i++)
		if (strcmp(s->banned[i], info->host_id) == 0)
			return false;
	list_each (it, &s->feeders)
		if (strcmp(list_entry(it, struct feeder, link)->info.peer_id, info->peer_id) == 0)
			return false;
	return true;
}

unsigned swarm_add(struct swarm *s, const struct parent_info *infos, size_t count,
		   const char *own_peer_id, const uint32_t *missing, size_t missing_count)
{
	unsigned added = 0;

	for (size_t i = 0; i < count; i++) {
		struct feeder *f = NULL;
		struct parent *parent;

		lock_take(s->c.lock);
		if (is_welcome(s, &infos[i])) {
			f = mem_new(struct feeder);
			f->info = infos[i];
			f->swarm = s;
			f->refs = 1;
			f->have = mem_array(s->words, sizeof(uint64_t));
			f->offered = mem_array(s->words, sizeof(uint64_t));
			f->again = mem_array(s->words, sizeof(uint64_t));
			list_push_back(&s->feeders, &f->link);
			s->feeder_count++;
			added++;
		}
		lock_drop(s->c.lock);
		if (!f)
			continue;
		parent = parent_open(&infos[i], s->c.task_id, s->c.own_host_id, own_peer_id,
				     missing, missing_count, &ops, f);
		lock_take(s->c.lock);
		f->parent = parent;
		lock_drop(s->c.lock);
	}
	return added;
}

/* All parents once more, one after the other. */
static void begin_asking(struct swarm *s)
{
	lock_guard(s->c.lock);
	s->asked++;
}

/* The next that was not asked this time. */
static struct parent *next_to_ask(struct swarm *s)
{
	lock_guard(s->c.lock);
	list_each (it, &s->feeders) {
		struct feeder *f = list_entry(it, struct feeder, link);

		if (!f->parent || f->dropped || f->ended || f->asked == s->asked)
			continue;
		f->asked = s->asked;
		return f->parent;
	}
	return NULL;
}

void swarm_ask_sooner(struct swarm *s, const uint32_t *numbers, size_t count)
{
	begin_asking(s);
	for (struct parent *p = next_to_ask(s); p; p = next_to_ask(s))
		parent_ask_sooner(p, s->c.task_id, s->c.own_host_id, numbers, count);
}

bool swarm_offer_all(struct swarm *s)
{
	bool any = false;

	list_each (it, &s->feeders) {
		struct feeder *f = list_entry(it, struct feeder, link);

		any |= memcmp(f->offered, f->have, s->words * sizeof(uint64_t)) != 0;
		memcpy(f->offered, f->have, s->words * sizeof(uint64_t));
	}
	return any;
}

void swarm_tell_room(struct swarm *s, bool full)
{
	begin_asking(s);
	for (struct parent *p = next_to_ask(s); p; p = next_to_ask(s))
		parent_tell_room(p, s->c.task_id, s->c.own_host_id, full);
}

/* The next parent to free: of those dropped, or of all. */
static struct parent *next_parent(struct swarm *s, bool all)
{
	lock_guard(s->c.lock);
	list_each (it, &s->feeders) {
		struct feeder *f = list_entry(it, struct feeder, link);

		if (f->parent && (f->dropped || all))
			return take_ptr(&f->parent);
	}
	return NULL;
}

void swarm_reap(struct swarm *s)
{
	for (struct parent *p = next_parent(s, false); p; p = next_parent(s, false))
		parent_free(p);
}

void swarm_clear(struct swarm *s)
{
	for (struct parent *p = next_parent(s, true); p; p = next_parent(s, true))
		parent_free(p);
	lock_guard(s->c.lock);
	for (struct list *l = list_pop_front(&s->feeders); l; l = list_pop_front(&s->feeders)) {
		struct feeder *f = list_entry(l, struct feeder, link);

		f->dropped = true;
		feeder_unref(f);
	}
	s->feeder_count = 0;
	sum_up(s);
}

/* ---- choosing; with the lock */

const uint64_t *swarm_have(const struct swarm *s)
{
	return s->somebody ? s->have : NULL;
}

unsigned swarm_count(const struct swarm *s)
{
	unsigned n = 0;

	list_each (it, &s->feeders)
		n += !list_entry(it, struct feeder, link)->dropped;
	return n;
}

bool swarm_has_dropped(const struct swarm *s)
{
	list_each (it, &s->feeders) {
		const struct feeder *f = list_entry(it, struct feeder, link);

		if (f->dropped && f->parent)
			return true;
	}
	return false;
}

bool swarm_is_live(const struct swarm *s)
{
	list_each (it, &s->feeders) {
		const struct feeder *f = list_entry(it, struct feeder, link);

		if (!f->dropped && !f->ended)
			return true;
	}
	return false;
}

/* Idle bandwidth, shared by what this download has in flight there already; a quarter for each
 * piece that it was late with. */
static uint64_t weight(const struct feeder *f)
{
	uint64_t max = f->tx_max ? f->tx_max : TX_MAX_UNKNOWN;
	uint64_t idle = f->tx < max ? max - f->tx : 0;

	if (idle < max / 10)
		idle = max / 10;
	idle >>= 2 * (f->late < LATE_MAX ? f->late : LATE_MAX);
	return idle / (1 + f->in_flight) + 1;
}

struct feeder *swarm_choose(struct swarm *s, uint32_t index)
{
	return swarm_choose_other(s, index, NULL);
}

struct feeder *swarm_choose_other(struct swarm *s, uint32_t index, const struct feeder *but)
{
	struct feeder *chosen = NULL;
	uint64_t sum = 0;

	list_each (it, &s->feeders) {
		struct feeder *f = list_entry(it, struct feeder, link);

		if (f == but || !has(f, index))
			continue;
		sum += weight(f);
		if (random_next(&s->random) % sum < weight(f))
			chosen = f;
	}
	if (chosen)
		swarm_take(chosen);
	return chosen;
}

bool swarm_others_have(const struct swarm *s, uint32_t index, const struct feeder *but)
{
	list_each (it, &s->feeders) {
		const struct feeder *f = list_entry(it, struct feeder, link);

		if (f != but && has(f, index))
			return true;
	}
	return false;
}

bool swarm_has_others(const struct swarm *s, const struct feeder *but)
{
	list_each (it, &s->feeders) {
		const struct feeder *f = list_entry(it, struct feeder, link);

		if (f != but && !f->dropped && f->told)
			return true;
	}
	return false;
}

void swarm_take(struct feeder *f)
{
	f->refs++;
	f->in_flight++;
}

/* Who has few and who has many: one is what one parent has, two what two have. */
static void count_holders(struct swarm *s, struct feeder *const *feeders, unsigned count)
{
	for (uint32_t k = 0; k < s->words; k++) {
		uint64_t any = 0, twice = 0, often = 0;

		for (unsigned i = 0; i < count; i++) {
			uint64_t bits = feeders[i]->have[k];

			often |= twice & bits;
			twice |= any & bits;
			any |= bits;
		}
		s->one[k] = any & ~twice;
		s->two[k] = twice & ~often;
	}
}

unsigned swarm_draw(struct swarm *s, struct feeder *out[SWARM_FEEDERS_MAX])
{
	unsigned count = 0;

	list_each (it, &s->feeders) {
		struct feeder *f = list_entry(it, struct feeder, link);

		if (!f->dropped && f->told)
			out[count++] = f;
	}
	for (unsigned done = 0; done < count; done++) {
		unsigned chosen = done;
		uint64_t sum = 0;

		for (unsigned i = done; i < count; i++) {
			sum += weight(out[i]);
			if (random_next(&s->random) % sum < weight(out[i]))
				chosen = i;
		}
		struct feeder *f = out[chosen];
		out[chosen] = out[done];
		out[done] = f;
	}
	count_holders(s, out, count);
	return count;
}

struct piece_offer swarm_offer(struct swarm *s, const struct feeder *f)
{
	return (struct piece_offer){
		.have = f->offered,
		.rare = {s->one, s->two},
		.from = (uint32_t)(random_next(&s->random) % s->c.geometry.piece_count),
	};
}

void swarm_done(struct swarm *s, struct feeder *f)
{
	(void)s;
	assert(f->in_flight > 0);
	f->in_flight--;
	feeder_unref(f);
}

void swarm_delivered(struct feeder *f, int64_t ms)
{
	smooth(&f->usual_ms, ms);
	f->late = 0;
}

void swarm_late(struct feeder *f)
{
	f->late++;
}

uint32_t swarm_usual_ms(const struct swarm *s, const struct feeder *f)
{
	uint64_t sum = 0;
	unsigned n = 0;

	if (f->usual_ms)
		return f->usual_ms;
	list_each (it, &s->feeders) {
		uint32_t ms = list_entry(it, struct feeder, link)->usual_ms;

		sum += ms;
		n += ms > 0;
	}
	return n ? (uint32_t)(sum / n) : 0;
}

uint32_t swarm_pace_ms(const struct swarm *s)
{
	uint32_t slowest = 0;

	list_each (it, &s->feeders) {
		const struct feeder *f = list_entry(it, struct feeder, link);

		if (f->dropped || f->ended)
			continue;
		slowest = f->usual_ms > slowest ? f->usual_ms : slowest;
		slowest = f->pace_ms > slowest ? f->pace_ms : slowest;
	}
	return slowest;
}

/* It does not have it any more. What it said before we knew counts. */
static void forget(struct swarm *s, struct feeder *f, uint32_t index)
{
	if (bit_get(f->again, index)) {
		bit_clear(f->again, index);
		return;
	}
	bit_clear(f->have, index);
	bit_clear(f->offered, index);
	sum_up(s);
}

bool swarm_lost(struct swarm *s, struct feeder *f, uint32_t index)
{
	forget(s, f, index);
	return ++f->losses >= LOSSES_MAX && swarm_drop(s, f, false);
}

void swarm_missed(struct swarm *s, struct feeder *f, uint32_t index)
{
	forget(s, f, index);
	if (++f->misses >= MISSES_MAX)
		swarm_drop(s, f, false);
}

size_t swarm_tried(const struct swarm *s, struct parent_info *out, size_t max)
{
	size_t n = 0;

	list_each (it, &s->feeders)
		if (n < max)
			out[n++] = list_entry(it, struct feeder, link)->info;
	return n;
}
