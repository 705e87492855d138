/* daemon/fetch: which pieces a child fetches that nobody waits for, and what it says of its room */
#include "test/unit/daemon/task_fixture.h"

#define COUNT	 21
#define LENGTH	 (20 * PIECE + 5)
#define NEVER_MS 3600000
#define ALL	 ((UINT64_C(1) << COUNT) - 1)

/* The cluster knows the task; both peers have all of it. */
static int setup(void **state)
{
	int r = setup_known(state, LENGTH);

	fake.peers[0].has = fake.peers[1].has = ALL;
	fake_will_say(parents_of(1));
	return r;
}

static bool says_full(unsigned peer)
{
	return fake_get(peers[peer].full) > fake_get(peers[peer].free);
}

static void parents_are_told_when_there_is_no_room_and_when_there_is(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(3));
	fake_set(fake.peers[0].held_pieces = (1 << COUNT) - 2;
		 fake.peers[1].held_pieces = ~UINT64_C(0));
	t = open_whole(s);
	await(says_full(0) && says_full(1));
	fake_set(fake.peers[0].held_pieces = fake.peers[1].held_pieces = UINT64_C(1)
									 << (COUNT - 1));
	await(!says_full(0) && !says_full(1));
	fake_set(fake.peers[0].held_pieces = fake.peers[1].held_pieces = 0);
	await(is_complete(t));
	task_unref(t);
}

static void what_is_only_for_who_waits_is_not_prefetched(void **state)
{
	struct setting *s = *state;
	struct task *t;

	patience_is(s, NEVER_MS);
	fake_will_say(parents_of(1));
	fake_set(fake.peers[0].later = true);
	t = open_whole(s);
	await(fake_get(peers[0].announcements) == 1);
	assert_int_equal(read_piece(t, 7), 0);
	assert_int_equal(fake_get(peers[0].fetches), fake_get(peers[0].urgent_fetches));
	/* Nothing is offered later by who has said all. */
	fake_set(fake.peers[0].closes = -1);
	fake_peer_gets(0, 0);
	await(is_complete(t));
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void who_hangs_after_naming_its_pieces_is_asked_for_them_all_the_same(void **state)
{
	struct setting *s = *state;
	struct task *t;

	patience_is(s, 100);
	fake_will_say(parents_of(1));
	fake_set(fake.peers[0].later = true);
	t = open_whole(s);
	await(is_complete(t));
	assert_int_equal(fake_get(peers[0].fetches), COUNT);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			parents_are_told_when_there_is_no_room_and_when_there_is, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_hangs_after_naming_its_pieces_is_asked_for_them_all_the_same, setup,
			teardown),
		cmocka_unit_test_setup_teardown(what_is_only_for_who_waits_is_not_prefetched, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
