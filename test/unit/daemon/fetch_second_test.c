/* daemon/fetch_second: pieces that are asked for twice, and who of the two wins */
#include "test/unit/daemon/task_fixture.h"

#define COUNT  21
#define LENGTH (20 * PIECE + 5)
#define ALL    ((UINT64_C(1) << COUNT) - 1)
#define THREE  (UINT64_C(1) << 3)

/* Two parents, of which peer 1 has nothing yet; a piece may be asked for twice after 50 ms. */
static int setup(void **state)
{
	int r = setup_known(state, LENGTH);
	struct setting *s = *state;

	log_set_level((enum log_level) - 1);
	setting_stop(s);
	s->config.second_ms = 50;
	setting_start(s);
	fake.peers[0].has = ALL;
	fake_will_say(parents_of(3));
	return r;
}

static unsigned fetches(void)
{
	return fake_get(peers[0].fetches) + fake_get(peers[1].fetches);
}

static void assert_right(struct task *t)
{
	await(is_complete(t));
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(read_piece(t, i), 0);
	assert_int_equal(fake_get(gets), 0);
}

/* All is here but piece 3, which both hold; peer 0 was asked first. */
static struct task *open_with_last_asked_twice(struct setting *s)
{
	struct task *t = open_url(s, URL);

	fake_set(fake.peers[0].held_pieces = fake.peers[1].held_pieces = THREE);
	fake_set(fake.peers[0].half = fake.peers[1].half = true);
	task_want_all(t, TASK_REST);
	await(fake_get(peers[0].fetches) == COUNT && fake_get(pieces_finished) == COUNT - 1);
	assert_int_equal(stat_now(s).seconds, 0); /* nobody else has it */
	fake_peer_gets(1, THREE);
	await(fake_get(peers[1].fetches) == 1);
	assert_int_equal(stat_now(s).seconds, 1);
	return t;
}

static void a_reader_does_not_wait_for_a_parent_that_stalls(void **state)
{
	struct setting *s = *state;
	struct reading r;
	struct task *t = open_url(s, URL);

	fake_set((fake.peers[0].held = true, fake.peers[0].half = true));
	read_start(t, &r, 7 * PIECE, 5, 0);
	await(fake_get(peers[0].fetches) == 1 && fake_get(peers[1].opens) == 1);
	fake_peer_gets(1, ALL);
	assert_int_equal(read_finish(&r), 0);
	await(stat_now(s).wasted == PIECE / 2);
	assert_int_equal(stat_now(s).seconds_used, 1);
	assert_int_equal(fake_get(peers[0].cancelled), 1);
	assert_int_equal(fake_get(peers[1].urgent_fetches), 1);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void a_parent_that_stalls_is_left_with_all_that_it_owes(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.peers[0].held = true);
	t = open_url(s, URL);
	task_want_all(t, TASK_REST);
	await(fake_get(peers[0].fetches) == 8);
	fake_peer_gets(1, ALL);
	assert_right(t);
	assert_in_range(stat_now(s).seconds, 1, 2);
	assert_int_equal(fake_get(peers[0].fetches), 8);
	await(fake_get(peers[0].cancelled) == 8 && fake_get(peers[0].frees) == 1);
	assert_true(fake_get(pieces_failed) >= 1);
	task_unref(t);
}

static void the_last_piece_may_come_from_the_second(void **state)
{
	struct setting *s = *state;
	struct task *t = open_with_last_asked_twice(s);

	fake_set(fake.peers[1].held_pieces = 0);
	assert_right(t);
	assert_int_equal(stat_now(s).seconds_used, 1);
	await(stat_now(s).wasted == PIECE / 2);
	assert_int_equal(fake_get(peers[0].cancelled), 1);
	assert_int_equal(fetches(), COUNT + 1);
	assert_int_equal(fake_get(pieces_finished), COUNT);
	task_unref(t);
}

static void the_last_piece_may_come_from_the_first_after_all(void **state)
{
	struct setting *s = *state;
	struct task *t = open_with_last_asked_twice(s);

	fake_set(fake.peers[0].held_pieces = 0);
	assert_right(t);
	await(stat_now(s).wasted == PIECE / 2);
	assert_int_equal(stat_now(s).seconds_used, 0);
	assert_int_equal(fake_get(peers[1].cancelled), 1);
	assert_int_equal(fake_get(pieces_finished), COUNT);
	assert_int_equal(fake_get(pieces_failed), 0);
	task_unref(t);
}

static void the_second_is_kept_when_the_first_fails(void **state)
{
	struct setting *s = *state;
	struct task *t = open_with_last_asked_twice(s);

	fake_set((fake.peers[0].error = EPROTO, fake.peers[0].held_pieces = 0));
	await(fake_get(pieces_failed) == 1);
	fake_set(fake.peers[1].held_pieces = 0);
	assert_right(t);
	assert_int_equal(fake_get(pieces_finished), COUNT);
	task_unref(t);
}

static void a_second_with_wrong_bytes_is_no_good(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.peers[1].corrupt = true);
	t = open_with_last_asked_twice(s);
	fake_set(fake.peers[1].held_pieces = 0);
	await(fake_get(pieces_failed) == 1);
	assert_int_equal(stat_now(s).digest_failures, 1);
	fake_set(fake.peers[0].held_pieces = 0);
	assert_right(t);
	assert_int_equal(stat_now(s).seconds_used, 0);
	await(fake_get(peers[1].frees) == 1); /* dropped */
	task_unref(t);
}

static void a_silent_parent_is_left_when_others_have_pieces(void **state)
{
	struct setting *s = *state;
	struct task *t;

	setting_stop(s);
	s->config.second_ms = 600000;
	s->config.silence_ms = 50;
	setting_start(s);
	fake_set(fake.peers[0].held = true);
	t = open_url(s, URL);
	task_want_all(t, TASK_REST);
	await(fake_get(peers[0].fetches) == 8 && fake_get(peers[1].opens) == 1);
	assert_int_equal(fake_get(peers[0].cancelled), 0); /* nobody else has any */
	fake_peer_gets(1, ALL);
	assert_right(t);
	assert_int_equal(fake_get(peers[0].fetches), 8);
	assert_int_equal(fake_get(peers[0].cancelled), 8);
	assert_int_equal(fake_get(peers[1].fetches), COUNT);
	assert_int_equal(stat_now(s).seconds, 0);
	task_unref(t);
}

static void two_at_a_time_are_the_most(void **state)
{
	struct setting *s = *state;
	struct task *t;
	int64_t until_ms;

	fake_set(fake.peers[0].held = fake.peers[1].held = true);
	t = open_url(s, URL);
	task_want_all(t, TASK_REST);
	await(fake_get(peers[0].fetches) == 8);
	fake_peer_gets(1, ALL);
	await(stat_now(s).seconds > 0);
	until_ms = clock_ms() + 400;
	await(clock_ms() > until_ms);
	assert_in_range(stat_now(s).seconds, 1, 2);
	fake_set(fake.peers[0].held = fake.peers[1].held = false);
	assert_right(t);
	task_unref(t);
}

static void stopping_ends_both(void **state)
{
	struct setting *s = *state;
	struct task *t = open_with_last_asked_twice(s);

	task_unref(t);
	setting_stop(s);
	assert_int_equal(fake_get(peers[0].cancelled) + fake_get(peers[1].cancelled), 2);
}

#define with_setting(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_setting(a_reader_does_not_wait_for_a_parent_that_stalls),
		with_setting(a_parent_that_stalls_is_left_with_all_that_it_owes),
		with_setting(the_last_piece_may_come_from_the_second),
		with_setting(the_last_piece_may_come_from_the_first_after_all),
		with_setting(the_second_is_kept_when_the_first_fails),
		with_setting(a_second_with_wrong_bytes_is_no_good),
		with_setting(a_silent_parent_is_left_when_others_have_pieces),
		with_setting(two_at_a_time_are_the_most),
		with_setting(stopping_ends_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
