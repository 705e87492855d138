/* daemon/fetch: files of one piece, which the cluster knows */
#include "test/unit/daemon/task_fixture.h"

static int setup(void **state)
{
	int r = setup_with(state, 1, true);

	fake.piece_length = 4 << 20;
	fake.has_task = true;
	fake.task_pieces = 1;
	fake_will_say((struct fake_reply){.what = SAY_PARENTS, .peers = 1});
	return r;
}

/* How long it is, and who has it; between the registration and the bytes nothing else. */
static void a_small_file_costs_one_question_and_comes_from_a_parent(void **state)
{
	static const uint32_t lengths[] = {1, 1000, 4 << 20};
	struct setting *s = *state;

	for (unsigned i = 0; i < array_len(lengths); i++) {
		cleanup(free_at) char *url = mem_printf("%s-%u", URL, i);
		struct task_request rq = {.url = url};
		struct task *t;

		fake_set(fake.length = fake.task_length = lengths[i]);
		fake_set(fake.peers[0].has = 1);
		t = open_task(s, &rq);
		assert_int_equal(read_at(t, 0, lengths[i]), 0);
		assert_int_equal(fake_get(length_questions), i + 1);
		assert_int_equal(fake_get(registers), i + 1);
		assert_int_equal(fake_get(peers[0].fetches), i + 1);
		assert_int_equal(fake_get(reschedules) + fake_get(to_origin), 0);
		assert_int_equal(fake_get(stats) + fake_get(gets), 0);
		await(fake_get(finished) == i + 1); /* and who comes next may have it from here */
		task_unref(t);
	}
}

/* It is asked for in vain, and then the scheduler can be told: a task without a length it would
 * take for an empty one. */
static void what_nobody_has_is_measured_at_the_origin_before_it_is_registered(void **state)
{
	struct setting *s = *state;
	struct task_request rq = {.url = URL};
	struct task *t;

	fake_set(fake.has_task = false; fake.length = 1000);
	fake_set(fake.replies[0] = (struct fake_reply){.what = SAY_ORIGIN});
	t = open_task(s, &rq);
	assert_int_equal(fake_get(length_questions), 1);
	assert_int_equal(fake_get(stats), 1);
	assert_int_equal(fake_get(registers), 0);
	assert_int_equal(read_at(t, 0, 1000), 0);
	assert_int_equal(fake_get(registers), 1);
	assert_int_equal(fake_get(registered_length), 1000);
	assert_int_equal(fake_get(length_questions) + fake_get(stats), 2);
	assert_int_equal(fake_get(gets), 1);
	task_unref(t);
}

static void what_is_here_is_asked_of_nobody(void **state)
{
	struct setting *s = *state;
	struct task_request rq = {.url = URL};
	struct task *t;

	fake_set(fake.length = fake.task_length = 1000; fake.peers[0].has = 1);
	t = open_task(s, &rq);
	assert_int_equal(read_at(t, 0, 1000), 0);
	await(fake_get(finished) == 1);
	task_unref(t);
	setting_stop(s);
	setting_start(s);
	t = open_task(s, &rq);
	assert_int_equal(read_at(t, 0, 1000), 0);
	assert_int_equal(fake_get(length_questions), 1);
	assert_int_equal(fake_get(registers), 1);
	task_unref(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_small_file_costs_one_question_and_comes_from_a_parent, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_nobody_has_is_measured_at_the_origin_before_it_is_registered, setup,
			teardown),
		cmocka_unit_test_setup_teardown(what_is_here_is_asked_of_nobody, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
