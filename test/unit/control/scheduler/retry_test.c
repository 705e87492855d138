/* Dragonfly's rules of retries, of who may read the origin, and of bad parents, one test each. */
#include "schedule_fixture.h"

/* ---- back-to-source: the flag, the limit, the retries */

static void who_asks_for_the_origin_gets_it_while_there_is_room(void **state)
{
	struct fixture *f = *state;

	join_as(f, "a", true, 0);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	join_as(f, "b", true, 0);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	state_peer_event(&f->state, state_peer(&f->state, "pa"), PEER_EVENT_BACK_TO_SOURCE, f->now);
	join_as(f, "c", true, 0); /* back_to_source_count is 2: a parent instead */
	assert_int_equal(f->last.answer, ANSWER_PARENTS);
	assert_int_equal(state_task(&f->state, "task")->source_count, 2);
}

static void one_who_reads_the_origin_already_may_go_on_when_there_is_no_more_room(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join_as(f, "a", true, 0);

	join_as(f, "b", true, 0);
	state_schedule(&f->state, a, f->now);
	assert_string_equal(f->last.peer, "pa");
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	assert_int_equal(a->task->source_count, 2);
}

static void room_comes_back_when_one_ends(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join_as(f, "a", true, 0);

	join_as(f, "b", true, 0);
	state_peer_event(&f->state, a, PEER_EVENT_FAILED, f->now);
	assert_int_equal(a->task->source_count, 1);
	join_as(f, "c", true, 0);
	assert_string_equal(f->last.peer, "pc");
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
}

/* retryBackToSourceLimit * retryInterval, then retryLimit * retryInterval. */
static void without_a_parent_the_origin_comes_first_and_the_refusal_later(void **state)
{
	struct fixture *f = *state;
	struct peer *b, *c;

	f->state.config.refuse_ms = 500;
	join(f, "a"); /* told to read the origin, never starts */
	b = join(f, "b");
	c = join(f, "c");
	c->may_back_to_source = false;
	f->now += 2000;
	state_tick(&f->state, f->now);
	assert_int_equal(f->answers, 2);
	assert_string_equal(f->last.peer, b->id);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	f->now += 499;
	state_tick(&f->state, f->now);
	assert_int_equal(f->answers, 2);
	f->now += 1;
	state_tick(&f->state, f->now);
	assert_string_equal(f->last.peer, c->id);
	assert_int_equal(f->last.answer, ANSWER_REFUSED);
}

static void one_too_many_gets_the_room_that_comes_free_before_it_is_refused(void **state)
{
	struct fixture *f = *state;
	struct peer *a;

	f->state.config.refuse_ms = 500;
	a = join_as(f, "a", true, 0);
	join_as(f, "b", true, 0);
	join(f, "c");
	f->now += 2100;
	state_tick(&f->state, f->now);
	assert_int_equal(f->answers, 2);
	state_peer_event(&f->state, a, PEER_EVENT_FAILED, f->now);
	assert_string_equal(f->last.peer, "pc");
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
}

static void a_parent_that_appears_while_one_waits_is_given_at_once(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a");

	join(f, "b");
	f->now += 700;
	state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now);
	assert_string_equal(f->last.peer, "pb");
	assert_int_equal(f->last.answer, ANSWER_PARENTS);
}

/* ---- no stampede to the origin */

#define CROWD 100

/* How many were told to read the origin. */
static unsigned readers(struct fixture *f)
{
	return state_task(&f->state, "task")->source_count;
}

static void join_crowd(struct fixture *f)
{
	char name[8];

	f->state.config = state_config_usual(); /* 200 may read the origin */
	for (unsigned i = 0; i < CROWD; i++) {
		snprintf(name, sizeof(name), "x%u", i);
		join(f, name);
	}
}

/* A scheduler that was restarted knows nothing of who has what. */
static void of_a_crowd_that_comes_at_once_one_reads_the_origin(void **state)
{
	struct fixture *f = *state;

	join_crowd(f);
	assert_int_equal(f->answers, 1);
	assert_int_equal(readers(f), 1);
	state_peer_event(&f->state, state_peer(&f->state, "px0"), PEER_EVENT_BACK_TO_SOURCE,
			 f->now);
	assert_int_equal(f->state.decisions, CROWD);
	assert_int_equal(readers(f), 1);
}

static void for_a_crowd_that_comes_at_once_one_seed_is_asked_once(void **state)
{
	struct fixture *f = *state;

	f->has_seed = true;
	join_crowd(f);
	assert_int_equal(f->seeds_asked, 1);
	assert_int_equal(f->answers + readers(f), 0);
}

static void when_the_parent_of_a_crowd_dies_one_reads_the_origin(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a");
	char id[8];

	state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now);
	join_crowd(f);
	for (unsigned i = 0; i < CROWD; i++) {
		snprintf(id, sizeof(id), "px%u", i);
		state_peer_event(&f->state, state_peer(&f->state, id), PEER_EVENT_STARTED, f->now);
	}
	state_peer_event(&f->state, a, PEER_EVENT_FAILED, f->now);
	for (unsigned i = 0; i < CROWD; i++) {
		snprintf(id, sizeof(id), "px%u", i);
		state_schedule(&f->state, state_peer(&f->state, id), f->now);
	}
	assert_int_equal(readers(f), 1);
}

/* Dragonfly's clients and schedulers lose patience all at once. */
static void of_a_crowd_whose_patience_ends_one_after_the_other_reads_the_origin(void **state)
{
	struct fixture *f = *state;

	join_crowd(f); /* the first is told to read the origin, and never starts */
	for (unsigned more = 1; more <= 3; more++) {
		f->now += 2000;
		state_tick(&f->state, f->now);
		state_tick(&f->state, f->now + 1999);
		assert_int_equal(readers(f), 1 + more);
	}
}

static void a_host_that_does_not_share_keeps_nobody_from_the_seed(void **state)
{
	struct fixture *f = *state;
	struct peer *a;

	state_host_announce(&f->state, "ha", f->now)->disable_shared = true;
	a = join(f, "a");
	state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now);
	f->has_seed = true;
	join(f, "b"); /* it reads the origin for itself alone */
	assert_int_equal(f->seeds_asked, 1);
	state_task_remove(&f->state, a->task);
	f->has_seed = false;
	a = join(f, "a");
	state_peer_event(&f->state, a, PEER_EVENT_FINISHED, f->now);
	f->has_seed = true;
	join_crowd(f); /* it has the whole, and for itself alone */
	assert_int_equal(f->seeds_asked, 2);
	assert_int_equal(readers(f), 0);
}

/* ---- who may not read it */

static void only_peers_is_not_found_and_no_downloads_is_refused(void **state)
{
	struct fixture *f = *state;

	join_as(f, "a", false, 2);
	assert_int_equal(f->last.answer, ANSWER_NOT_FOUND);
	join_as(f, "b", false, 1);
	assert_int_equal(f->last.answer, ANSWER_REFUSED);
}

static void with_somebody_who_has_it_every_priority_gets_parents(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a");
	char name[2] = "b";

	state_peer_event(&f->state, a, PEER_EVENT_FINISHED, f->now);
	for (int priority = 1; priority <= 6; priority++, name[0]++) {
		join_as(f, name, false, priority);
		assert_int_equal(f->last.answer, ANSWER_PARENTS);
	}
}

static void the_higher_priorities_ask_a_seed(void **state)
{
	struct fixture *f = *state;
	char name[2] = "a";

	f->has_seed = true;
	for (int priority = 4; priority <= 6; priority++, name[0]++) {
		join_as(f, name, false, priority);
		assert_int_equal(f->answers, 0);
		state_task_remove(&f->state, state_task(&f->state, "task"));
	}
	assert_int_equal(f->seeds_asked, 3);
}

static void a_seed_that_failed_is_not_asked_again_until_its_time_has_passed(void **state)
{
	struct fixture *f = *state;
	struct peer *a;

	f->has_seed = true;
	a = join(f, "a");
	state_seed_ended(&f->state, "task", false, f->now); /* sends a to the origin */
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	state_peer_event(&f->state, a, PEER_EVENT_FAILED, f->now);
	f->now += 29999;
	join(f, "b");
	assert_int_equal(f->seeds_asked, 1);
	state_peer_event(&f->state, state_peer(&f->state, "pb"), PEER_EVENT_FAILED, f->now);
	f->now += 1;
	join(f, "c");
	assert_int_equal(f->seeds_asked, 2);
}

/* ---- bad parents */

static struct peer *source_with_costs(struct fixture *f, const char *name, const uint32_t *costs,
				      unsigned count)
{
	struct peer *p = join_as(f, name, true, 0);

	state_peer_event(&f->state, p, PEER_EVENT_BACK_TO_SOURCE, f->now);
	for (unsigned i = 0; i < count; i++)
		state_peer_piece(&f->state, p, i, costs[i], f->now);
	return p;
}

/* More than 20 times the mean of the earlier ones; the last one itself is not among these. */
static void a_parent_whose_last_piece_was_far_out_of_line_is_bad(void **state)
{
	struct fixture *f = *state;
	struct peer *a = source_with_costs(f, "a", (uint32_t[]){10, 10, 201}, 3);
	struct peer *b = source_with_costs(f, "b", (uint32_t[]){10, 10, 200}, 3);

	assert_true(state_peer_is_slow(a));
	assert_false(state_peer_is_slow(b));
	join(f, "c");
	assert_int_equal(f->last.count, 1);
	assert_string_equal(f->last.parents[0], "pb");
}

static void a_parent_is_good_again_with_its_next_piece(void **state)
{
	struct fixture *f = *state;
	struct peer *a = source_with_costs(f, "a", (uint32_t[]){10, 10, 1000, 30}, 4);

	assert_false(state_peer_is_slow(a));
}

static void one_piece_says_nothing(void **state)
{
	struct fixture *f = *state;

	assert_false(state_peer_is_slow(source_with_costs(f, "a", (uint32_t[]){100000}, 1)));
}

static void a_cost_that_is_not_told_is_not_a_cost_of_nothing(void **state)
{
	struct fixture *f = *state;
	struct peer *a = source_with_costs(f, "a", (uint32_t[]){0, 0, 50}, 3);

	assert_false(state_peer_is_slow(a));
	assert_int_equal(a->finished_pieces, 3);
}

/* By ours: whoever finds nobody reads the origin, so the slow are better than none. */
static void by_ours_a_slow_parent_is_the_last_choice(void **state)
{
	struct fixture *f = *state;

	f->state.config.algorithm = PICK_SKIMMER;
	f->state.config.candidate_parent_limit = 1;
	source_with_costs(f, "a", (uint32_t[]){10, 10, 1000}, 3);
	join(f, "c");
	assert_int_equal(f->last.answer, ANSWER_PARENTS);
	assert_string_equal(f->last.parents[0], "pa");
	source_with_costs(f, "b", (uint32_t[]){10, 10, 10}, 3);
	join(f, "d");
	assert_string_equal(f->last.parents[0], "pb");
}

static void those_who_failed_or_wait_for_parents_themselves_are_no_parents(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a"), *b;

	state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now);
	b = join(f, "b"); /* received, not running yet */
	assert_int_equal(b->state, PEER_RECEIVED);
	join(f, "c");
	assert_int_equal(f->last.count, 1);
	assert_string_equal(f->last.parents[0], "pa");
	state_peer_event(&f->state, a, PEER_EVENT_FAILED, f->now);
	f->answers = 0;
	join(f, "d");
	assert_true(f->answers == 0 || f->last.answer != ANSWER_PARENTS);
}

static void a_parent_that_failed_a_child_is_not_given_to_it_again(void **state)
{
	struct fixture *f = *state;
	struct peer *c;

	source_with_costs(f, "a", (uint32_t[]){10}, 1);
	c = join(f, "c");
	assert_string_equal(f->last.parents[0], "pa");
	state_peer_block(c, "pa");
	f->answers = 0;
	state_schedule(&f->state, c, f->now);
	assert_int_equal(f->answers, 0);
	join(f, "d"); /* another child still gets it */
	assert_string_equal(f->last.parents[0], "pa");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_asks_for_the_origin_gets_it_while_there_is_room),
		TEST(one_who_reads_the_origin_already_may_go_on_when_there_is_no_more_room),
		TEST(room_comes_back_when_one_ends),
		TEST(without_a_parent_the_origin_comes_first_and_the_refusal_later),
		TEST(one_too_many_gets_the_room_that_comes_free_before_it_is_refused),
		TEST(a_parent_that_appears_while_one_waits_is_given_at_once),
		TEST(of_a_crowd_that_comes_at_once_one_reads_the_origin),
		TEST(for_a_crowd_that_comes_at_once_one_seed_is_asked_once),
		TEST(when_the_parent_of_a_crowd_dies_one_reads_the_origin),
		TEST(of_a_crowd_whose_patience_ends_one_after_the_other_reads_the_origin),
		TEST(a_host_that_does_not_share_keeps_nobody_from_the_seed),
		TEST(only_peers_is_not_found_and_no_downloads_is_refused),
		TEST(with_somebody_who_has_it_every_priority_gets_parents),
		TEST(the_higher_priorities_ask_a_seed),
		TEST(a_seed_that_failed_is_not_asked_again_until_its_time_has_passed),
		TEST(a_parent_whose_last_piece_was_far_out_of_line_is_bad),
		TEST(a_parent_is_good_again_with_its_next_piece),
		TEST(one_piece_says_nothing),
		TEST(a_cost_that_is_not_told_is_not_a_cost_of_nothing),
		TEST(by_ours_a_slow_parent_is_the_last_choice),
		TEST(those_who_failed_or_wait_for_parents_themselves_are_no_parents),
		TEST(a_parent_that_failed_a_child_is_not_given_to_it_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
