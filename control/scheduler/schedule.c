/*
 * Who is told what. A peer that wants parents is answered at once with the best there is. When
 * nobody has the task one seed is asked for it, or one peer is sent to the origin; the others wait
 * for that one, and are answered the moment it starts.
 */
#include "control/scheduler/pick.h"
#include "control/scheduler/state.h"

#define SAMPLE_MAX  64 /* bounds filter_parent_limit */
#define LOOKS	    8  /* peers looked at for each to be found */
#define CROWD	    64 /* so many at one place, and few of them need to know others */
#define REACH_OUT   4  /* one in so many then */
#define MANY_PIECES 32
#define MATES	    3  /* parents of a peer, mates among them, in parents_for() */
#define SHARERS	    64 /* peers looked at for one that shares */

static uint64_t next_random(struct state *s)
{
	/* xorshift64: repeatable in the simulator */
	s->random ^= s->random << 13;
	s->random ^= s->random >> 7;
	s->random ^= s->random << 17;
	return s->random;
}

/* May p, one of the able, feed the child? By ours, a peer that was just given parents may: it will
 * soon have something, and is a mate until then; and a slow one may, if there is no better: a child
 * that finds nobody reads the origin. The cheap questions first. */
static bool is_eligible(struct state *s, const struct peer *child, struct peer *p)
{
	bool ours = s->config.algorithm == PICK_SKIMMER;

	if (p->state == PEER_RECEIVED && !ours)
		return false;
	if (p == child || p->host == child->host || p->host->disable_shared)
		return false;
	if (graph_is_parent(p, child) || state_peer_is_blocked(child, p->id))
		return false;
	return ours || (!state_peer_is_slow(p) && !graph_would_circle(s, p, child));
}

static float progress_of(const struct peer *p)
{
	if (peer_is_source(p))
		return 1;
	if (p->task->piece_count == 0 || p->finished_pieces >= p->task->piece_count)
		return 0;
	return (float)p->finished_pieces / (float)p->task->piece_count;
}

static struct pick_candidate candidate_of(const struct peer *p)
{
	const struct host *h = p->host;

	return (struct pick_candidate){
		.idc = h->idc,
		.location = h->location,
		.tx_max = h->tx_max,
		.piece_length = p->task->piece_length,
		.assigned_bytes = h->assigned_bytes,
		.assigned_pieces = h->assigned_pieces,
		.children = h->child_count,
		.progress = progress_of(p),
		.is_seed = h->type == TYPE_SEED,
		.is_seed_ready = p->state == PEER_RECEIVED || p->state == PEER_RUNNING ||
				 p->state == PEER_BACK_TO_SOURCE,
		.is_slow = state_peer_is_slow(p),
		.index = p->index,
	};
}

/* Adds eligible peers of list, from all over it and none of "but", until there are limit. */
static unsigned draw(struct state *s, const struct peer *child, struct peer *const *list,
		     uint32_t list_count, const struct crowd *but, struct pick_candidate *out,
		     unsigned count, unsigned limit)
{
	uint32_t looks, step;
	uint64_t at;

	if (list_count == 0 || count >= limit)
		return count;
	at = next_random(s) % list_count;
	looks = LOOKS * (limit - count);
	if (looks > list_count)
		looks = list_count;
	step = 1 + (uint32_t)(next_random(s) % (list_count / looks));
	for (uint32_t i = 0; i < looks && count < limit; i++, at += step) {
		struct peer *p = list[at % list_count];

		if ((!but || p->crowd != but) && is_eligible(s, child, p))
			out[count++] = candidate_of(p);
	}
	return count;
}

/* Up to filter_parent_limit eligible peers, by ours half of them near the child. */
static unsigned sample(struct state *s, const struct peer *child, struct pick_candidate *out)
{
	const struct task *t = child->task;
	const struct crowd *near = s->config.algorithm == PICK_SKIMMER ? crowd_of(child) : NULL;
	unsigned limit = s->config.filter_parent_limit, count = 0;

	if (limit > SAMPLE_MAX)
		limit = SAMPLE_MAX;
	if (near && near->count < t->able_count)
		count = draw(s, child, near->peers, near->count, NULL, out, 0, limit / 2);
	else
		near = NULL;
	return draw(s, child, t->peers, t->able_count, near, out, count, limit);
}

/* A place whose members only know each other waits for what never comes; but what each of a crowd
 * gets from elsewhere crosses what is narrow between places. */
static bool reaches_out(struct state *s, const struct peer *p)
{
	const struct crowd *near = crowd_of(p);

	return !near || near->count < CROWD || next_random(s) % REACH_OUT == 0;
}

/* How many parents it is told of: where many pieces are exchanged a fifth to four, as all too often
 * none of four has what a child lacks. */
static unsigned parents_for(const struct state *s, const struct peer *p)
{
	unsigned limit = s->config.candidate_parent_limit;
	bool more = s->config.algorithm == PICK_SKIMMER && p->host->takes_more &&
		    p->task->piece_count >= MANY_PIECES;

	return more ? limit + (limit + 3) / 4 : limit;
}

/* By ours somebody below the child may be its mate, if others feed it too. */
static unsigned find_parents(struct state *s, struct peer *child, struct peer **out)
{
	struct pick_candidate list[SAMPLE_MAX];
	const struct pick_child who = {child->host->idc, child->host->location,
				       reaches_out(s, child)};
	unsigned count = sample(s, child, list), taken = 0, best;

	best = pick_best(s->config.algorithm, &who, list, count, parents_for(s, child));
	for (unsigned i = 0; i < best && taken < PEER_PARENTS_MAX; i++) {
		struct peer *p = child->task->peers[list[i].index];

		if (graph_link(s, p, child))
			out[taken++] = p;
	}
	/* The best are all below the child: somebody who needs nobody is not. */
	for (unsigned i = best; taken == 0 && i < count; i++) {
		struct peer *p = child->task->peers[list[i].index];

		if (peer_is_source(p) && graph_link(s, p, child))
			out[taken++] = p;
	}
	for (unsigned i = 0; taken > 0 && i < best && taken < PEER_PARENTS_MAX; i++) {
		struct peer *p = child->task->peers[list[i].index];

		if (s->config.algorithm == PICK_SKIMMER && graph_link_mate(p, child))
			out[taken++] = p;
	}
	return taken;
}

/* Those who were told of few parents are told of the newcomer: so the first of a crowd, who only
 * know the seed, get from each other what each got from it. */
static void introduce(struct state *s, struct peer *newcomer, struct peer *const *to,
		      unsigned count)
{
	if (s->config.algorithm != PICK_SKIMMER || newcomer->host->disable_shared)
		return;
	for (unsigned i = 0; i < count; i++) {
		struct peer *p = to[i];

		if (peer_is_source(p) || !p->host->takes_more || p->host == newcomer->host ||
		    p->parent_count >= MATES * parents_for(s, p) ||
		    state_peer_is_blocked(p, newcomer->id) || !graph_link_mate(newcomer, p))
			continue;
		s->introductions++;
		s->ops.answer(p, ANSWER_PARENTS, &newcomer, 1, NULL, s->ops.arg);
	}
}

void state_offer(struct state *s, struct peer *p)
{
	const struct task *t = p->task;
	struct peer *to[PEER_PARENTS_MAX];
	unsigned count = 0, limit = parents_for(s, p);
	uint64_t at;

	if (s->config.algorithm != PICK_SKIMMER || t->in_state[PEER_RUNNING] == 0)
		return;
	if (limit > PEER_PARENTS_MAX)
		limit = PEER_PARENTS_MAX;
	at = next_random(s) % t->peer_count;
	for (uint32_t i = 0; i < t->peer_count && i < LOOKS * limit && count < limit; i++, at++) {
		struct peer *q = t->peers[at % t->peer_count];

		if (q->state == PEER_RUNNING && q->parent_count < parents_for(s, q))
			to[count++] = q;
	}
	introduce(s, p, to, count);
}

static void answer(struct state *s, struct peer *p, enum answer a, struct peer *const *parents,
		   unsigned count, const char *why)
{
	list_remove(&p->wait_link);
	s->decisions++;
	s->ops.answer(p, a, parents, count, why, s->ops.arg);
	p->asked_ms = 0;
}

static void send_to_source(struct state *s, struct peer *p, int64_t now_ms, const char *why)
{
	task_source_add(p, now_ms);
	graph_unlink_parents(p);
	answer(s, p, ANSWER_BACK_TO_SOURCE, NULL, 0, why);
}

/* Is somebody on the way to get it from the origin, or a seed asked to? */
static bool source_is_coming(const struct state *s, const struct task *t, int64_t now_ms)
{
	if (t->feeder_count > 0)
		return true;
	return t->seed_asked_ms && now_ms - t->seed_asked_ms < s->config.seed_wait_ms;
}

/* Does somebody have something, or get it, and give it to others? */
static bool somebody_shares(const struct task *t)
{
	for (uint32_t i = 0; i < t->able_count && i < SHARERS; i++)
		if (!t->peers[i]->host->disable_shared)
			return true;
	return false;
}

/* A seed does not wait for the seed that was asked: it may be that one, which also was told to
 * download by somebody else, a preheat say. */
static bool waits_for_source(const struct state *s, const struct peer *p, int64_t now_ms)
{
	if (p->host->type == TYPE_SEED && p->task->feeder_count == 0)
		return false;
	return source_is_coming(s, p->task, now_ms);
}

static bool ask_seed(struct state *s, struct peer *p, int64_t now_ms)
{
	struct task *t = p->task;

	if (p->host->type == TYPE_SEED || (p->priority >= 1 && p->priority <= 3))
		return false;
	if (t->seed_failed_ms && now_ms - t->seed_failed_ms < s->config.seed_failed_ms)
		return false;
	if (!s->ops.ask_seed(t, p, s->ops.arg))
		return false;
	t->seed_asked_ms = now_ms;
	p->wait_until_ms = now_ms + s->config.seed_wait_ms;
	return true;
}

/* Nobody has the task. Dragonfly's priorities: 1 forbidden, 2 only from peers, 3 this peer reads
 * the origin, the others ask a seed first. */
static void get_from_source(struct state *s, struct peer *p, int64_t now_ms)
{
	if (p->priority == 1) {
		answer(s, p, ANSWER_REFUSED, NULL, 0, "priority 1: downloads are forbidden");
		return;
	}
	if (p->priority == 2) {
		answer(s, p, ANSWER_NOT_FOUND, NULL, 0, "no peer has it, priority 2 asks no other");
		return;
	}
	if (!p->may_back_to_source) {
		answer(s, p, ANSWER_REFUSED, NULL, 0, "no peer has it, and it may not be fetched");
		return;
	}
	if (!ask_seed(s, p, now_ms))
		send_to_source(s, p, now_ms, "nobody has it yet");
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t waits_until(const struct state *s, const struct peer *p)
{
	const struct task *t = p->task;
	int64_t until = p->wait_until_ms;

	/* While a seed is on its way to the origin, patience saves a second copy. */
	if (t->seed_asked_ms)
		until = later(until, t->seed_asked_ms + s->config.seed_wait_ms);
	/* Of a crowd whose patience ends together one goes: it will feed the others. */
	if (t->feeder_count > 0 && p->may_back_to_source)
		until = later(until, t->feeder_told_ms + s->config.wait_ms);
	return until;
}

/* Is there room among those who read the origin? */
static bool source_has_room(const struct state *s, const struct peer *p)
{
	return p->told_source || p->task->source_count < s->config.back_to_source_count;
}

static void give_up_waiting(struct state *s, struct peer *p, int64_t now_ms)
{
	int64_t until = waits_until(s, p);

	if (now_ms < until)
		return;
	if (p->may_back_to_source && source_has_room(s, p))
		send_to_source(s, p, now_ms, "no parent in time");
	else if (now_ms >= until + s->config.refuse_ms)
		answer(s, p, ANSWER_REFUSED, NULL, 0,
		       p->may_back_to_source ? "too many peers read the origin already"
					     : "no parent is left");
}

static void consider(struct state *s, struct peer *p, int64_t now_ms)
{
	struct peer *parents[PEER_PARENTS_MAX];
	unsigned count;

	if (p->need_back_to_source && source_has_room(s, p)) {
		send_to_source(s, p, now_ms, "asked for");
		return;
	}
	count = find_parents(s, p, parents);
	if (count) {
		answer(s, p, ANSWER_PARENTS, parents, count, NULL);
		introduce(s, p, parents, count);
	} else if (!somebody_shares(p->task) && !waits_for_source(s, p, now_ms)) {
		get_from_source(s, p, now_ms);
	} else {
		give_up_waiting(s, p, now_ms);
	}
}

void state_schedule(struct state *s, struct peer *p, int64_t now_ms)
{
	struct task *t = p->task;

	graph_unlink_parents(p);
	p->wait_until_ms = now_ms + s->config.wait_ms;
	p->asked_ms = now_ms;
	if (list_empty(&p->wait_link))
		list_push_back(&t->waiting, &p->wait_link);
	if (list_empty(&t->waiting_link))
		list_push_back(&s->waiting_tasks, &t->waiting_link);
	consider(s, p, now_ms);
}

/* Those who download have lost a piece with the peer that had it, and nobody reads the origin: a
 * seed does, or the one who lacks least. */
static void rescue(struct state *s, struct task *t, int64_t now_ms)
{
	struct peer *best = NULL;

	if (t->in_state[PEER_RUNNING] == 0 || !holdings_lost(t) || source_is_coming(s, t, now_ms))
		return;
	for (uint32_t i = 0; i < t->peer_count; i++) {
		struct peer *p = t->peers[i];

		if (p->state == PEER_RUNNING && p->stream && p->may_back_to_source &&
		    (!best || p->finished_pieces > best->finished_pieces))
			best = p;
	}
	if (best && !ask_seed(s, best, now_ms))
		send_to_source(s, best, now_ms, "nobody else has all of it");
}

void state_wake(struct state *s, struct task *t, int64_t now_ms)
{
	struct list round = LIST_INIT(round);

	rescue(s, t, now_ms);
	/* consider() takes a peer off the list or leaves it: a round of its own ends. */
	list_splice(&round, &t->waiting);
	while (!list_empty(&round)) {
		struct list *link = list_pop_front(&round);

		list_push_back(&t->waiting, link);
		consider(s, list_entry(link, struct peer, wait_link), now_ms);
	}
	if (list_empty(&t->waiting))
		list_remove(&t->waiting_link);
}

/* A seed that failed (its disk is full, say) may keep its conversation open, but gets no more: it
 * is not waited for, somebody else reads the origin. */
static void expect_no_seed(struct task *t)
{
	for (uint32_t i = 0; i < t->peer_count; i++) {
		struct peer *p = t->peers[i];

		if (p->host->type != 0)
			task_source_remove(p);
	}
}

void state_seed_ended(struct state *s, const char *task_id, bool well, int64_t now_ms)
{
	struct task *t = state_task(s, task_id);

	if (!t)
		return;
	/* One that says it is done and has not shown itself may be about to: it is waited for as if
	 * it was still at it, but not asked again and again. */
	if (!well || task_has_available_peer(t))
		t->seed_asked_ms = 0;
	if (!well || !task_has_available_peer(t))
		t->seed_failed_ms = now_ms;
	if (!well)
		expect_no_seed(t);
	state_wake(s, t, now_ms);
}

void state_seed_unreachable(struct state *s, const char *task_id, int64_t now_ms)
{
	struct task *t = state_task(s, task_id);

	if (!t)
		return;
	t->seed_asked_ms = 0;
	state_wake(s, t, now_ms);
}

void state_tick(struct state *s, int64_t now_ms)
{
	list_each_safe (it, &s->waiting_tasks)
		state_wake(s, list_entry(it, struct task, waiting_link), now_ms);
}

static bool peer_is_due(const struct state *s, const struct peer *p, int64_t now_ms)
{
	int64_t idle = now_ms - p->updated_ms;

	if (p->state == PEER_FAILED && !p->stream)
		return true;
	if (p->state == PEER_RUNNING || p->state == PEER_BACK_TO_SOURCE)
		return idle > s->config.piece_timeout_ms;
	return idle > s->config.peer_ttl_ms;
}

static bool host_is_due(const struct state *s, const struct host *h, int64_t now_ms)
{
	int64_t silent = now_ms - h->announced_ms;

	return silent > (h->interval_ms ? 2 * h->interval_ms : s->config.host_ttl_ms);
}

unsigned state_gc(struct state *s, int64_t now_ms)
{
	unsigned gone = 0;
	size_t at = 0;
	const char *id;
	void *value;

	while (map_next(s->hosts, &at, &id, &value)) {
		if (host_is_due(s, value, now_ms)) {
			state_host_remove(s, value, now_ms);
			gone++;
		}
	}
	at = 0;
	while (map_next(s->peers, &at, &id, &value)) {
		if (peer_is_due(s, value, now_ms)) {
			state_peer_remove(s, value, now_ms);
			gone++;
		}
	}
	at = 0;
	while (map_next(s->tasks, &at, &id, &value)) {
		struct task *t = value;

		if (t->peer_count == 0 && now_ms - t->updated_ms > s->config.piece_timeout_ms)
			state_task_remove(s, t);
	}
	return gone;
}
