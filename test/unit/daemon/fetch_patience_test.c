/* daemon/fetch_patience: readers of pieces that no parent has told of, and what a parent does for
 * them */
#include "test/unit/daemon/task_fixture.h"

#define COUNT  21
#define LENGTH (20 * PIECE + 5)

/* The cluster knows the task; there is one parent, which has its first piece. */
static int setup(void **state)
{
	int r = setup_known(state, LENGTH);

	fake.peers[0].has = 1;
	fake_will_say(parents_of(1));
	return r;
}

static struct task *open_without_origin(struct setting *s)
{
	struct task_request rq = request_of(URL);

	rq.disable_back_to_source = true;
	return open_task(s, &rq);
}

static void what_parents_come_to_much_later_is_asked_for_at_once(void **state)
{
	struct setting *s = *state;
	struct reading near;
	struct task *t;

	patience_is(s, 3600000);
	fake_set(fake.peers[0].on_request = 1u << 6 | 1u << 5);
	t = open_without_origin(s);
	assert_int_equal(read_piece(t, 0), 0); /* its parent's first piece is known */
	read_start(t, &near, 5 * PIECE, 5, 0);
	assert_int_equal(read_piece(t, 6), 0);
	assert_int_equal(fake_get(peers[0].asked_sooner), 1);
	assert_int_equal(fake_get(peers[0].has), 1 | 1u << 6);
	fake_peer_gets(0, 1u << 5);
	assert_int_equal(read_finish(&near), 0);
	assert_int_equal(fake_get(peers[0].asked_sooner), 1);
	task_unref(t);
}

static void what_they_come_to_soon_is_asked_for_later(void **state)
{
	struct setting *s = *state;
	struct task *t;
	int64_t began;

	patience_is(s, 600);
	fake_set(fake.peers[0].on_request = 1u << 5);
	t = open_without_origin(s);
	assert_int_equal(read_piece(t, 0), 0);
	began = clock_ms();
	assert_int_equal(read_piece(t, 5), 0);
	assert_true(clock_ms() - began >= 300);
	assert_true(fake_get(peers[0].asked_sooner) > 0);
	task_unref(t);
}

static void who_did_not_hear_is_asked_again(void **state)
{
	struct setting *s = *state;
	struct reading r;
	struct task *t;

	patience_is(s, 600);
	t = open_without_origin(s);
	read_start(t, &r, 20 * PIECE, 5, 0);
	await(fake_get(peers[0].asked_sooner) == 1);
	fake_set(fake.peers[0].on_request = 1u << 20);
	assert_int_equal(read_finish(&r), 0);
	assert_true(fake_get(peers[0].asked_sooner) >= 2);
	task_unref(t);
}

static void several_readers_ask_for_their_pieces_at_once(void **state)
{
	static const uint32_t pieces[] = {20, 7, 13, 9};
	struct setting *s = *state;
	struct reading r[4];
	struct task *t;

	patience_is(s, 4000);
	fake_set(fake.peers[0].on_request = 1u << 20 | 1u << 7 | 1u << 13 | 1u << 9);
	t = open_without_origin(s);
	for (unsigned i = 0; i < 4; i++)
		read_start(t, &r[i], pieces[i] * (uint64_t)PIECE, 5, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(read_finish(&r[i]), 0);
	assert_int_equal(fake_get(gets), 0);
	/* Mostly once; more often if a reader came much later on a busy machine. */
	assert_in_range(fake_get(peers[0].asked_sooner), 1, 4);
	task_unref(t);
}

static void in_the_end_the_piece_comes_from_the_origin(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);

	assert_int_equal(read_piece(t, 20), 0);
	assert_true(fake_get(gets) > 0);
	assert_true(fake_get(peers[0].asked_sooner) > 0);
	task_unref(t);
}

static void a_slow_parent_has_more_time(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	int64_t piece_ms = clock_ms(), began;
	struct reading r;

	fake_set(fake.peers[0].held = true);
	read_start(t, &r, 0, 5, 0);
	await(fake_get(peers[0].fetches) == 1);
	usleep(400000);
	fake_set(fake.peers[0].held = false);
	assert_int_equal(read_finish(&r), 0);
	piece_ms = clock_ms() - piece_ms;
	assert_true(piece_ms >= 400);
	began = clock_ms();
	assert_int_equal(read_piece(t, 20), 0);
	/* 264 ms if it were not slow. */
	assert_true(clock_ms() - began >= 200 + 3 * 400);
	assert_true(fake_get(gets) > 0);
	task_unref(t);
}

static void who_brings_what_it_was_asked_for_is_waited_for(void **state)
{
	struct setting *s = *state;
	int64_t began, helped_ms;
	struct reading other;
	struct task *t;

	patience_is(s, 2000);
	fake_set(fake.peers[0].on_request = 1u << 5);
	t = open_url(s, URL);
	assert_int_equal(read_piece(t, 0), 0);
	began = clock_ms();
	read_start(t, &other, 3 * PIECE, 5, 0);
	assert_int_equal(read_piece(t, 5), 0);
	helped_ms = clock_ms() - began;
	assert_int_equal(read_finish(&other), 0);
	assert_true(fake_get(gets) > 0);
	/* After half of the patience one piece came, so the other was waited for anew; unless this
	 * machine was so busy that it came too late. */
	assert_true(helped_ms >= 1000);
	assert_true(helped_ms > 1500 || clock_ms() - began >= 3000);
	task_unref(t);
}

static void what_a_peer_waits_for_is_read_from_the_origin_next(void **state)
{
	static const uint32_t few[] = {19, 11};
	uint32_t all[COUNT];
	struct setting *s = *state;
	struct task *t;

	for (uint32_t i = 0; i < COUNT; i++)
		all[i] = i;
	fake_will_say((struct fake_reply){.what = SAY_ORIGIN});
	fake_set(fake.held = true);
	t = open_url(s, URL);
	task_hurry(t, few, 2); /* nothing is going on */
	task_want_all(t, TASK_REST);
	await(fake_get(gets) == 1);
	task_hurry(t, all, COUNT); /* whoever wants all is in no hurry */
	task_hurry(t, &few[0], 1);
	await(fake_get(gets) == 2);
	assert_int_equal(fake_get(last_off), 19 * PIECE);
	task_hurry(t, &few[1], 1);
	await(fake_get(gets) == 3);
	assert_int_equal(fake_get(last_off), 11 * PIECE);
	fake_set(fake.held = false);
	await(is_complete(t));
	assert_int_equal(fake_get(bytes), LENGTH);
	task_unref(t);
}

#define with_setting(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_setting(what_parents_come_to_much_later_is_asked_for_at_once),
		with_setting(what_they_come_to_soon_is_asked_for_later),
		with_setting(who_did_not_hear_is_asked_again),
		with_setting(several_readers_ask_for_their_pieces_at_once),
		with_setting(in_the_end_the_piece_comes_from_the_origin),
		with_setting(a_slow_parent_has_more_time),
		with_setting(who_brings_what_it_was_asked_for_is_waited_for),
		with_setting(what_a_peer_waits_for_is_read_from_the_origin_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
