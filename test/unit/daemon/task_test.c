/* daemon/task: reads over a real store and a fake origin, no scheduler */
#include "test/unit/daemon/task_fixture.h"

#define LENGTH (20 * PIECE + 5)

static int setup(void **state)
{
	return setup_with(state, LENGTH, false);
}

static void a_cold_read_is_answered_from_the_origin(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);

	assert_int_equal(task_meta(t)->geometry.content_length, LENGTH);
	assert_int_equal(read_at(t, 3 * PIECE + 100, 1000), 0);
	assert_int_equal(fake_get(fetched[3]), 1);
	task_unref(t);
}

static void the_whole_is_fetched_once_and_verified(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);

	task_want_all(t, TASK_REST);
	await(is_complete(t));
	for (unsigned i = 0; i < 21; i++) {
		assert_int_equal(fake_get(fetched[i]), 1);
		assert_int_equal(read_piece(t, i), 0);
	}
	assert_int_equal(fake_get(bytes), LENGTH);
	assert_true(task_complete_fd(t) >= 0);
	task_unref(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_cold_read_is_answered_from_the_origin, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_whole_is_fetched_once_and_verified, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
