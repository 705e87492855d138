/* daemon/store: tasks and pieces in the ordinary course of things */
#include "test/unit/daemon/store_fixture.h"

#include <dirent.h>
#include <sys/wait.h>

#define PIECE 5000

static void a_task_is_made_filled_and_found_again(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 3 * PIECE - 10, PIECE);
	struct store_piece p;

	assert_int_equal(store_piece_get(t, 0, NULL), STORE_ABSENT);
	assert_int_equal(piece_fill(f, t, 1, 2), -1);
	assert_int_equal(store_piece_get(t, 2, &p), STORE_PRESENT);
	assert_int_equal(p.length, PIECE - 10);
	assert_int_equal(p.source, STORE_FROM_PEER);
	assert_int_equal(p.cost_ms, 7);
	assert_true(p.created_s > 1600000000);
	assert_int_equal(store_task_present_count(t), 1);
	assert_false(store_task_is_complete(t));
	piece_fill(f, t, 1, 0);
	piece_fill(f, t, 1, 1);
	assert_true(store_task_is_complete(t));
	store_task_unref(t);
	t = task_find(f, 1);
	assert_true(store_task_is_complete(t));
	for (uint32_t i = 0; i < 3; i++)
		assert_true(piece_is_right(t, store_task_fd(t), 1, i));
	store_task_unref(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_task_is_made_filled_and_found_again,
						fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
