/* Decisions under a clock of our own: who is told what, and when. */
#include "schedule_fixture.h"

static void first_peer_without_a_seed_goes_to_the_origin_and_the_rest_wait_for_it(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a");

	assert_int_equal(f->answers, 1);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	join(f, "b");
	join(f, "c");
	assert_int_equal(f->answers, 1); /* no second copy */
	assert_true(state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now));
	assert_int_equal(f->answers, 3);
	assert_int_equal(f->last.answer, ANSWER_PARENTS);
	assert_string_equal(f->last.parents[0], "pa");
}

static void a_seed_is_asked_once_and_feeds_those_who_wait(void **state)
{
	struct fixture *f = *state;
	struct peer *seed;

	f->has_seed = true;
	join(f, "a");
	join(f, "b");
	assert_int_equal(f->seeds_asked, 1);
	assert_int_equal(f->answers, 0);
	seed = join_as(f, "S", true, 0);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	assert_true(state_peer_event(&f->state, seed, PEER_EVENT_BACK_TO_SOURCE, f->now));
	assert_int_equal(f->answers, 3);
	assert_string_equal(f->last.parents[0], "pS");
}

/* A preheat tells nodes and the seed at once: the seed's own request may be there first. */
static void a_seed_does_not_wait_for_the_seed_that_was_asked(void **state)
{
	struct fixture *f = *state;

	f->has_seed = true;
	join(f, "a");
	assert_int_equal(f->seeds_asked, 1);
	join(f, "S");
	assert_int_equal(f->answers, 1);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	join(f, "S2");
	assert_int_equal(f->answers, 1); /* no second copy */
}

static void a_seed_that_is_done_but_not_seen_is_not_asked_again_and_again(void **state)
{
	struct fixture *f = *state;

	f->has_seed = true;
	join(f, "a");
	state_seed_ended(&f->state, "task", true, f->now);
	state_tick(&f->state, f->now);
	assert_int_equal(f->seeds_asked, 1);
	assert_int_equal(f->answers, 0); /* it may be about to announce itself */
	f->now += 6000;
	state_tick(&f->state, f->now);
	assert_int_equal(f->seeds_asked, 1);
	assert_int_equal(f->answers, 1);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
}

static void a_host_that_comes_back_is_a_parent_once(void **state)
{
	struct fixture *f = *state;
	struct peer *old = join(f, "a"), *both;
	struct task *t = old->task;

	assert_true(state_peer_event(&f->state, old, PEER_EVENT_FINISHED, f->now));
	old->stream = NULL; /* it has been killed since */
	both = state_peer_make(&f->state, "pa again", old->host, t, f->now);
	both->stream = f;
	assert_true(state_peer_event(&f->state, both, PEER_EVENT_REGISTER, f->now));
	assert_true(state_peer_event(&f->state, both, PEER_EVENT_FINISHED, f->now));
	state_peer_supersede(&f->state, both, f->now);
	assert_null(state_peer(&f->state, "pa"));
	assert_int_equal(t->peer_count, 1);
	join(f, "b");
	assert_int_equal(f->last.count, 1);
	assert_string_equal(f->last.parents[0], "pa again");
	/* One that still speaks stays. */
	state_peer_supersede(&f->state, state_peer(&f->state, "pb"), f->now);
	assert_int_equal(t->peer_count, 2);
}

static void a_failed_seed_sends_one_peer_to_the_origin_at_once(void **state)
{
	struct fixture *f = *state;

	f->has_seed = true;
	join(f, "a");
	join(f, "b");
	state_seed_ended(&f->state, "task", false, f->now);
	assert_int_equal(f->answers, 1);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	assert_int_equal(f->seeds_asked, 1); /* not again so soon */
}

static void patience_ends_within_the_bound_and_so_does_the_number_of_copies(void **state)
{
	struct fixture *f = *state;

	join(f, "a"); /* told to read the origin, never starts */
	join(f, "b");
	join(f, "c");
	f->now += 1999;
	state_tick(&f->state, f->now);
	assert_int_equal(f->answers, 1);
	f->now += 2;
	state_tick(&f->state, f->now);
	assert_int_equal(f->answers, 2); /* b may, and c waits for b now */
	f->now += 2000;
	state_tick(&f->state, f->now);
	assert_int_equal(f->answers, 3);
	assert_int_equal(f->last.answer, ANSWER_REFUSED); /* back_to_source_count is 2 */
}

static void a_running_peer_feeds_others_from_its_first_piece(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a"), *b;

	state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now);
	b = join(f, "b");
	state_peer_event(&f->state, b, PEER_EVENT_STARTED, f->now);
	state_peer_piece(&f->state, b, 0, 10, f->now);
	join(f, "c");
	assert_int_equal(f->last.answer, ANSWER_PARENTS);
	assert_int_equal(f->last.count, 2);
}

static void circles_are_never_made(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a"), *b, *c;

	state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now);
	b = join(f, "b");
	state_peer_event(&f->state, b, PEER_EVENT_STARTED, f->now);
	state_peer_piece(&f->state, b, 0, 10, f->now);
	c = join(f, "c");
	state_peer_event(&f->state, c, PEER_EVENT_STARTED, f->now);
	state_peer_piece(&f->state, c, 0, 10, f->now);
	assert_int_equal(c->parent_count, 2); /* a and b */
	assert_true(graph_would_circle(&f->state, c, b));
	state_peer_block(b, "pa");
	state_schedule(&f->state, b, f->now);
	/* Its own child c is all that is left: no parent, so it waits. */
	assert_int_equal(b->parent_count, 0);
	assert_false(list_empty(&b->wait_link));
}

static void blocked_shared_off_and_same_host_are_no_parents(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a"), *b;
	unsigned before;

	state_peer_event(&f->state, a, PEER_EVENT_FINISHED, f->now);
	b = join(f, "b");
	before = f->answers;
	state_peer_block(b, "pa");
	state_schedule(&f->state, b, f->now);
	assert_int_equal(f->answers, before);
	join(f, "c");
	assert_int_equal(f->answers, before + 1);
	assert_string_equal(f->last.parents[0], "pa");
	a->host->disable_shared = true;
	join(f, "d");
	assert_int_equal(a->child_count, 1);
}

static void a_leaving_host_takes_its_peers_and_their_edges_along(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a"), *b;

	state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now);
	b = join(f, "b");
	assert_int_equal(b->parent_count, 1);
	assert_true(a->host->assigned_bytes > 0);
	state_host_remove(&f->state, a->host, f->now);
	assert_null(state_peer(&f->state, "pa"));
	assert_int_equal(b->parent_count, 0);
	assert_int_equal(b->task->source_count, 0);
	state_host_remove(&f->state, b->host, f->now);
	assert_int_equal(map_count(f->state.peers), 0);
}

static void priorities_decide_what_happens_when_nobody_has_it(void **state)
{
	struct fixture *f = *state;

	f->has_seed = true;
	join_as(f, "a", false, 1);
	assert_int_equal(f->last.answer, ANSWER_REFUSED);
	join_as(f, "b", false, 2);
	assert_int_equal(f->last.answer, ANSWER_NOT_FOUND);
	assert_int_equal(f->seeds_asked, 0);
	join_as(f, "c", false, 3);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	assert_int_equal(f->seeds_asked, 0);
}

/* Another peer of a's host and task, in that state. */
static struct peer *peer_in(struct fixture *f, struct peer *a, const char *id,
			    enum peer_state state)
{
	static const struct {
		enum peer_event events[2];
		unsigned count;
	} ways[PEER_STATES] = {
		[PEER_RECEIVED] = {{PEER_EVENT_REGISTER}, 1},
		[PEER_RUNNING] = {{PEER_EVENT_REGISTER, PEER_EVENT_STARTED}, 2},
		[PEER_BACK_TO_SOURCE] = {{PEER_EVENT_REGISTER, PEER_EVENT_BACK_TO_SOURCE}, 2},
		[PEER_SUCCEEDED] = {{PEER_EVENT_REGISTER, PEER_EVENT_FINISHED}, 2},
		[PEER_FAILED] = {{PEER_EVENT_FAILED}, 1},
	};
	struct peer *p = state_peer_make(&f->state, id, a->host, a->task, f->now);

	p->stream = f;
	for (unsigned i = 0; i < ways[state].count; i++)
		assert_true(state_peer_event(&f->state, p, ways[state].events[i], f->now));
	assert_int_equal(p->state, state);
	return p;
}

static void events_that_do_not_fit_change_nothing(void **state)
{
	static const enum peer_state to[] = {PEER_RECEIVED, PEER_RUNNING, PEER_BACK_TO_SOURCE,
					     PEER_SUCCEEDED, PEER_FAILED};
	/* registers, has started, has begun at the origin, has finished, has failed */
	static const bool fits[PEER_STATES][array_len(to)] = {
		[PEER_PENDING] = {true, false, false, false, true},
		[PEER_RECEIVED] = {true, true, true, true, true},
		[PEER_RUNNING] = {true, true, true, true, true},
		[PEER_BACK_TO_SOURCE] = {false, false, true, true, true},
		[PEER_SUCCEEDED] = {false, false, false, true, true},
		[PEER_FAILED] = {true, false, false, false, true},
	};
	struct fixture *f = *state;
	struct peer *a = join_silent(f, "a"), *p;
	char id[16];

	for (enum peer_state from = PEER_PENDING; from < PEER_STATES; from++) {
		for (enum peer_event event = 0; event < array_len(to); event++) {
			snprintf(id, sizeof(id), "%u-%u", from, event);
			p = peer_in(f, a, id, from);
			assert_int_equal(state_peer_event(&f->state, p, event, f->now),
					 fits[from][event]);
			assert_int_equal(p->state, fits[from][event] ? to[event] : from);
		}
	}
}

static void the_silent_and_the_old_are_forgotten(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a");

	join(f, "b")->host->interval_ms = 1000;
	state_peer_event(&f->state, a, PEER_EVENT_FINISHED, f->now);
	f->now += 2001;
	assert_int_equal(state_gc(&f->state, f->now), 1); /* hb: twice its interval */
	assert_non_null(state_host(&f->state, "ha"));
	f->now += 100000;
	assert_int_equal(state_gc(&f->state, f->now), 1);
	assert_int_equal(map_count(f->state.hosts), 0);
	f->now += 500000;
	state_gc(&f->state, f->now);
	assert_int_equal(map_count(f->state.tasks), 0);
}

/* Their hosts go on announcing themselves. */
static void peers_go_by_their_own_time(void **state)
{
	struct fixture *f = *state;
	const struct state_config *c = &f->state.config;
	struct peer *a = join(f, "a"), *b = join(f, "b"), *d;

	f->state.config.host_ttl_ms = INT64_MAX;
	state_peer_event(&f->state, a, PEER_EVENT_FINISHED, f->now);
	state_peer_event(&f->state, b, PEER_EVENT_STARTED, f->now);
	d = join(f, "d");
	d->stream = NULL;
	state_peer_event(&f->state, d, PEER_EVENT_FAILED, f->now);
	assert_int_equal(state_gc(&f->state, f->now), 1); /* d has failed and is gone */
	assert_null(state_peer(&f->state, "pd"));
	f->now += c->piece_timeout_ms + 1; /* b has had no piece for so long */
	assert_int_equal(state_gc(&f->state, f->now), 1);
	assert_null(state_peer(&f->state, "pb"));
	f->now += c->peer_ttl_ms - c->piece_timeout_ms - 1;
	assert_int_equal(state_gc(&f->state, f->now), 0);
	f->now += 1; /* a has it, and was not heard of since */
	assert_int_equal(state_gc(&f->state, f->now), 1);
	assert_int_equal(map_count(f->state.peers), 0);
	assert_int_equal(map_count(f->state.hosts), 3);
}

/* ---- the algorithm "skimmer" */

static int start_ours(void **state)
{
	start(state);
	((struct fixture *)*state)->state.config.algorithm = PICK_SKIMMER;
	return 0;
}

static struct peer *join_and_start(struct fixture *f, const char *name)
{
	struct peer *p = join(f, name);

	state_peer_event(&f->state, p, PEER_EVENT_STARTED, f->now);
	return p;
}

static struct peer *join_source(struct fixture *f, const char *name)
{
	struct peer *p = join(f, name);

	assert_true(state_peer_event(&f->state, p, PEER_EVENT_BACK_TO_SOURCE, f->now));
	return p;
}

static void a_newcomer_gets_those_who_have_nothing_yet_and_is_introduced_to_them(void **state)
{
	struct fixture *f = *state;
	struct peer *b, *c;

	join_source(f, "a");
	b = join_and_start(f, "b");
	b->host->takes_more = true;
	c = join(f, "c");
	assert_int_equal(c->parent_count, 2); /* b has no piece, but will */
	assert_true(graph_is_parent(c, b));   /* and b was told of c */
	assert_int_equal(f->state.introductions, 1);
	assert_string_equal(f->last.peer, "pb");
	assert_string_equal(f->last.parents[0], "pc");
	assert_int_equal(f->last.count, 1);
}

static void a_foreign_client_a_source_and_one_who_blocks_are_not_told_of_newcomers(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join_source(f, "a"), *b, *c;

	a->host->takes_more = true;
	b = join_and_start(f, "b"); /* its host takes no more */
	c = join_and_start(f, "c");
	c->host->takes_more = true;
	state_peer_block(c, "pd");
	join(f, "d");
	assert_int_equal(f->state.introductions, 0);
	assert_int_equal(b->parent_count, 1);
}

static void who_shares_nothing_is_introduced_to_nobody(void **state)
{
	struct fixture *f = *state;
	struct peer *b;

	join_source(f, "a");
	b = join_and_start(f, "b");
	b->host->takes_more = true;
	state_host_announce(&f->state, "hc", f->now)->disable_shared = true;
	join(f, "c");
	assert_int_equal(b->parent_count, 1);
}

static void introductions_stop_at_thrice_the_limit(void **state)
{
	struct fixture *f = *state;
	struct peer *b;
	char name[8];

	f->state.config.candidate_parent_limit = 1;
	join_source(f, "a");
	b = join_and_start(f, "b");
	b->host->takes_more = true;
	b->host->tx_max = UINT64_C(1) << 50; /* everybody's choice */
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		join(f, name);
		assert_in_range(b->parent_count, 1, 3);
	}
	assert_int_equal(b->parent_count, 3);
	assert_int_equal(b->child_count, 40);
}

static struct peer *find(struct fixture *f, const char *id)
{
	struct peer *p = state_peer(&f->state, id);

	assert_non_null(p);
	return p;
}

/* No clock moves and nothing ticks: whoever there is, is told inside of the registration. */
static void who_registers_is_answered_at_once_with_whoever_there_is(void **state)
{
	struct fixture *f = *state;
	char name[8];

	join_source(f, "a")->host->tx_max = 1; /* poor, but the best there is */
	for (unsigned i = 0; i < 100; i++) {
		unsigned before = f->answers;

		snprintf(name, sizeof(name), "x%u", i);
		join(f, name);
		assert_int_equal(f->answers, before + 1);
		assert_int_equal(f->last.answer, ANSWER_PARENTS);
		assert_true(f->last.count > 0);
	}
	assert_int_equal(f->state.decisions, 101);
}

static void a_better_parent_that_comes_later_is_told_unasked(void **state)
{
	struct fixture *f = *state;
	struct peer *b;

	join_source(f, "a")->host->tx_max = 1;
	b = join_and_start(f, "b");
	b->host->takes_more = true;
	assert_int_equal(b->parent_count, 1);
	/* A seed that was told by a preheat reads the origin ... */
	state_peer_event(&f->state, join_as(f, "S", true, 0), PEER_EVENT_BACK_TO_SOURCE, f->now);
	assert_true(graph_is_parent(find(f, "pS"), b));
	assert_string_equal(f->last.peer, "pb");
	assert_string_equal(f->last.parents[0], "pS");
	/* ... and a host says after the scheduler's restart what it has. */
	state_peer_event(&f->state, join_silent(f, "c"), PEER_EVENT_FINISHED, f->now);
	assert_true(graph_is_parent(find(f, "pc"), b));
	assert_string_equal(f->last.parents[0], "pc");
	assert_int_equal(f->last.count, 1);
}

static void who_has_parents_enough_or_shares_nothing_is_left_out_of_it(void **state)
{
	struct fixture *f = *state;
	struct peer *b;
	uint64_t before;

	f->state.config.candidate_parent_limit = 1;
	join_source(f, "a");
	b = join_and_start(f, "b");
	b->host->takes_more = true;
	before = f->state.introductions;
	state_peer_event(&f->state, join_silent(f, "c"), PEER_EVENT_FINISHED, f->now);
	f->state.config.candidate_parent_limit = 4;
	state_host_announce(&f->state, "hd", f->now)->disable_shared = true;
	state_peer_event(&f->state, join_silent(f, "d"), PEER_EVENT_FINISHED, f->now);
	assert_int_equal(f->state.introductions, before);
	assert_int_equal(b->parent_count, 1);
}

/* What the newcomer may have does not count: a foreign one has room for fewer. */
static void who_has_room_by_its_own_measure_is_told_of_a_foreign_source(void **state)
{
	struct fixture *f = *state;
	struct peer *b, *c;

	f->state.config.candidate_parent_limit = 1;
	join_source(f, "a")->task->piece_count = 32;
	b = join_and_start(f, "b");
	b->host->takes_more = true;
	assert_int_equal(b->parent_count, 1);
	c = join_silent(f, "c");
	assert_false(c->host->takes_more);
	state_peer_event(&f->state, c, PEER_EVENT_FINISHED, f->now);
	assert_true(graph_is_parent(c, b)); /* two are b's measure */
	state_peer_event(&f->state, join_silent(f, "d"), PEER_EVENT_FINISHED, f->now);
	assert_int_equal(b->parent_count, 2);
}

/* How many parents the last of twenty peers of a task of so many pieces is told of, at a limit
 * of 4. */
static uint32_t told_last(struct fixture *f, uint32_t pieces, bool takes_more)
{
	char name[8];

	f->state.config.candidate_parent_limit = 4;
	join_source(f, "a")->task->piece_count = pieces;
	for (unsigned i = 0; i < 18; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		join_and_start(f, name);
	}
	state_host_announce(&f->state, "hz", f->now)->takes_more = takes_more;
	return join(f, "z")->parent_count;
}

static void who_exchanges_many_pieces_is_told_of_more(void **state)
{
	assert_int_equal(told_last(*state, 128, true), 5);
}

static void a_foreign_client_is_told_of_no_more_than_is_configured(void **state)
{
	assert_int_equal(told_last(*state, 128, false), 4);
}

static void few_pieces_need_no_more_parents(void **state)
{
	assert_int_equal(told_last(*state, 5, true), 4);
}

static void no_more_are_looked_at_than_the_filter_says(void **state)
{
	struct fixture *f = *state;

	for (const char *const *name = (const char *const[]){"a", "b", "c", NULL}; *name; name++)
		state_peer_event(&f->state, join_silent(f, *name), PEER_EVENT_FINISHED, f->now);
	join(f, "d");
	assert_int_equal(f->last.count, 3);
	f->state.config.filter_parent_limit = 2;
	join(f, "e");
	assert_int_equal(f->last.count, 2);
}

static void mates_may_feed_each_other_but_the_other_edges_make_no_circle(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join_source(f, "a"), *b, *c;

	b = join_and_start(f, "b");
	b->host->takes_more = true;
	c = join_and_start(f, "c");
	assert_true(graph_is_parent(b, c));
	assert_true(graph_is_parent(c, b));
	assert_true(graph_would_circle(&f->state, c, b));
	state_schedule(&f->state, b, f->now);
	assert_true(graph_is_parent(a, b)); /* the way to the bytes ... */
	assert_true(graph_is_parent(c, b)); /* ... and a mate */
	assert_true(graph_would_circle(&f->state, c, b));
	assert_false(graph_would_circle(&f->state, a, c));
}

static void a_busy_source_is_better_than_waiting_when_the_best_are_below(void **state)
{
	struct fixture *f = *state;
	struct peer *a, *b, *c;

	f->state.config.candidate_parent_limit = 1;
	a = join_source(f, "a");
	b = join_and_start(f, "b");
	state_peer_piece(&f->state, b, 0, 10, f->now);
	a->host->child_count += 100;
	c = join_and_start(f, "c");
	assert_string_equal(f->last.parents[0], "pb");
	state_peer_piece(&f->state, c, 0, 10, f->now);
	state_schedule(&f->state, b, f->now);
	assert_string_equal(f->last.peer, "pb");
	assert_int_equal(f->last.answer, ANSWER_PARENTS);
	assert_string_equal(f->last.parents[0], "pa");
	a->host->child_count -= 100;
}

static void one_who_only_has_its_own_children_left_waits(void **state)
{
	struct fixture *f = *state;
	struct peer *b, *c;

	join_source(f, "a");
	b = join_and_start(f, "b");
	c = join_and_start(f, "c");
	assert_true(graph_is_parent(b, c));
	state_peer_block(b, "pa");
	state_schedule(&f->state, b, f->now);
	assert_int_equal(b->parent_count, 0);
	assert_false(list_empty(&b->wait_link));
}

static void the_edges_of_a_peer_that_leaves_go_and_the_others_stay(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join_source(f, "a"), *b, *c, *d;

	b = join_and_start(f, "b");
	c = join_and_start(f, "c");
	d = join_and_start(f, "d");
	assert_int_equal(d->parent_count, 3);
	state_peer_remove(&f->state, b, f->now);
	assert_int_equal(d->parent_count, 2);
	assert_int_equal(c->parent_count, 1);
	assert_true(graph_is_parent(a, d));
	assert_true(graph_is_parent(c, d));
	assert_int_equal(a->child_count, 2);
	state_peer_piece(&f->state, c, 0, 10, f->now); /* so c is sent to the origin, not d */
	state_peer_remove(&f->state, a, f->now);
	assert_int_equal(d->parent_count, 1);
	assert_int_equal(c->parent_count, 0);
	state_peer_remove(&f->state, c, f->now);
	assert_int_equal(d->parent_count, 0);
	assert_int_equal(d->host->assigned_pieces, 0);
}

static void one_source_is_found_at_once_among_many_who_failed_or_wait(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join_source(f, "a"), *p;
	char name[8];

	for (unsigned i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		p = join(f, name);
		assert_string_equal(f->last.peer, p->id);
		assert_int_equal(f->last.answer, ANSWER_PARENTS);
		state_peer_event(&f->state, p, PEER_EVENT_FAILED, f->now);
	}
	assert_int_equal(a->task->able_count, 1);
	assert_int_equal(a->index, 0);
	state_peer_remove(&f->state, a, f->now);
	assert_int_equal(p->task->able_count, 0);
	assert_int_equal(p->task->peer_count, 600);
}

/* ---- what is with nobody */

static void when_the_source_dies_with_a_piece_the_best_of_the_others_reads_the_origin(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join_source(f, "a"), *b, *c;
	unsigned before;

	b = join_and_start(f, "b");
	c = join_and_start(f, "c");
	state_peer_piece(&f->state, b, 0, 10, f->now);
	state_peer_piece(&f->state, c, 0, 10, f->now);
	state_peer_piece(&f->state, c, 1, 10, f->now);
	before = f->answers;
	state_peer_event(&f->state, a, PEER_EVENT_FAILED, f->now);
	assert_int_equal(f->answers, before + 1);
	assert_string_equal(f->last.peer, "pc");
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	assert_int_equal(f->state.decisions, before + 1);
	/* That one is enough. */
	state_wake(&f->state, b->task, f->now);
	assert_int_equal(f->answers, before + 1);
}

static void a_dead_source_is_not_missed_when_the_others_have_all_pieces(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join_source(f, "a"), *b, *c;
	unsigned before;

	b = join_and_start(f, "b");
	c = join_and_start(f, "c");
	for (uint32_t i = 0; i < a->task->piece_count; i++)
		state_peer_piece(&f->state, i % 2 ? b : c, i, 10, f->now);
	before = f->answers;
	state_peer_event(&f->state, a, PEER_EVENT_FAILED, f->now);
	assert_int_equal(f->answers, before);
	assert_false(holdings_lost(b->task));
	state_peer_remove(&f->state, b, f->now); /* now half of them are */
	assert_int_equal(f->answers, before + 1);
	assert_string_equal(f->last.peer, "pc");
}

static void a_seed_is_asked_before_a_peer_when_a_piece_is_lost(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join_source(f, "a");
	unsigned before;

	join_and_start(f, "b");
	before = f->answers;
	f->has_seed = true;
	state_peer_event(&f->state, a, PEER_EVENT_FAILED, f->now);
	assert_int_equal(f->seeds_asked, 1);
	assert_int_equal(f->answers, before);
	state_seed_ended(&f->state, "task", false, f->now);
	assert_int_equal(f->answers, before + 1);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
}

static void when_a_seed_failed_half_way_one_peer_reads_the_origin(void **state)
{
	struct fixture *f = *state;
	struct peer *seed, *b;
	unsigned before;

	f->has_seed = true;
	join_and_start(f, "a");
	b = join_and_start(f, "b");
	seed = join_as(f, "S", true, 0);
	assert_true(state_peer_event(&f->state, seed, PEER_EVENT_BACK_TO_SOURCE, f->now));
	state_peer_piece(&f->state, seed, 0, 10, f->now);
	state_peer_event(&f->state, b, PEER_EVENT_STARTED, f->now);
	state_peer_piece(&f->state, b, 0, 10, f->now);
	before = f->answers;
	/* Its conversation is still open, and it says no more. */
	state_seed_ended(&f->state, "task", false, f->now);
	assert_int_equal(f->answers, before + 1);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	assert_string_equal(f->last.peer, "pb"); /* it lacks least */
	assert_int_equal(b->task->source_count, 1);
	state_peer_event(&f->state, seed, PEER_EVENT_FAILED, f->now);
	assert_int_equal(b->task->source_count, 1);
}

static void pieces_that_cannot_be_are_not_counted(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join_source(f, "a");

	state_peer_piece(&f->state, a, UINT32_MAX, 10, f->now);
	state_peer_piece(&f->state, a, a->task->piece_count, 10, f->now);
	assert_null(a->pieces);
	state_peer_piece(&f->state, a, 3, 10, f->now);
	state_peer_piece(&f->state, a, 3, 10, f->now);
	assert_int_equal(a->task->holders[3], 1);
	state_peer_event(&f->state, a, PEER_EVENT_FINISHED, f->now);
	assert_null(a->pieces);
	assert_false(holdings_lost(a->task));
}

int main(void)
{
#define T(fn)	 cmocka_unit_test_setup_teardown(fn, start, stop)
#define OURS(fn) cmocka_unit_test_setup_teardown(fn, start_ours, stop)
	const struct CMUnitTest tests[] = {
		T(first_peer_without_a_seed_goes_to_the_origin_and_the_rest_wait_for_it),
		T(a_seed_is_asked_once_and_feeds_those_who_wait),
		T(a_seed_does_not_wait_for_the_seed_that_was_asked),
		T(a_seed_that_is_done_but_not_seen_is_not_asked_again_and_again),
		T(a_host_that_comes_back_is_a_parent_once),
		T(a_failed_seed_sends_one_peer_to_the_origin_at_once),
		T(patience_ends_within_the_bound_and_so_does_the_number_of_copies),
		T(a_running_peer_feeds_others_from_its_first_piece),
		T(circles_are_never_made),
		T(blocked_shared_off_and_same_host_are_no_parents),
		T(a_leaving_host_takes_its_peers_and_their_edges_along),
		T(priorities_decide_what_happens_when_nobody_has_it),
		T(events_that_do_not_fit_change_nothing),
		T(the_silent_and_the_old_are_forgotten),
		T(peers_go_by_their_own_time),
		OURS(blocked_shared_off_and_same_host_are_no_parents),
		OURS(a_newcomer_gets_those_who_have_nothing_yet_and_is_introduced_to_them),
		OURS(a_foreign_client_a_source_and_one_who_blocks_are_not_told_of_newcomers),
		OURS(who_shares_nothing_is_introduced_to_nobody),
		OURS(introductions_stop_at_thrice_the_limit),
		OURS(who_registers_is_answered_at_once_with_whoever_there_is),
		T(who_registers_is_answered_at_once_with_whoever_there_is),
		OURS(a_better_parent_that_comes_later_is_told_unasked),
		OURS(who_has_parents_enough_or_shares_nothing_is_left_out_of_it),
		OURS(who_has_room_by_its_own_measure_is_told_of_a_foreign_source),
		OURS(who_exchanges_many_pieces_is_told_of_more),
		OURS(a_foreign_client_is_told_of_no_more_than_is_configured),
		OURS(few_pieces_need_no_more_parents),
		T(no_more_are_looked_at_than_the_filter_says),
		OURS(no_more_are_looked_at_than_the_filter_says),
		OURS(mates_may_feed_each_other_but_the_other_edges_make_no_circle),
		OURS(a_busy_source_is_better_than_waiting_when_the_best_are_below),
		OURS(one_who_only_has_its_own_children_left_waits),
		OURS(the_edges_of_a_peer_that_leaves_go_and_the_others_stay),
		T(one_source_is_found_at_once_among_many_who_failed_or_wait),
		OURS(one_source_is_found_at_once_among_many_who_failed_or_wait),
		T(when_the_source_dies_with_a_piece_the_best_of_the_others_reads_the_origin),
		T(a_dead_source_is_not_missed_when_the_others_have_all_pieces),
		T(a_seed_is_asked_before_a_peer_when_a_piece_is_lost),
		T(when_a_seed_failed_half_way_one_peer_reads_the_origin),
		T(pieces_that_cannot_be_are_not_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
