/* Attempts by key in windows of time. */
#include "control/manager/limiter.h"

#include "../../unit.h"
#include "base/clock.h"

#include <stdio.h>

static void so_many_and_no_more_until_the_window_ends(void **state)
{
	int64_t now = 1000;
	struct limiter *l = limiter_new();

	(void)state;
	clock_fake(&now);
	for (int i = 0; i < 3; i++)
		assert_true(limiter_take(l, "a", 3, 100));
	assert_false(limiter_take(l, "a", 3, 100));
	assert_true(limiter_take(l, "b", 3, 100));
	now += 99;
	assert_false(limiter_take(l, "a", 3, 100));
	now += 1;
	assert_true(limiter_take(l, "a", 3, 100));
	clock_fake(NULL);
	limiter_free(l);
}

static void who_succeeded_begins_anew(void **state)
{
	struct limiter *l = limiter_new();

	(void)state;
	assert_true(limiter_take(l, "a", 1, 60000));
	limiter_forget(l, "a");
	assert_true(limiter_take(l, "a", 1, 60000));
	limiter_forget(l, "never seen");
	limiter_free(l);
}

static void a_full_table_lets_nobody_in_until_windows_end(void **state)
{
	int64_t now = 1000;
	struct limiter *l = limiter_new();
	char key[32];

	(void)state;
	clock_fake(&now);
	for (int i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key %d", i);
		assert_true(limiter_take(l, key, 1, 100));
	}
	assert_false(limiter_take(l, "one more", 1, 100));
	now += 100;
	assert_true(limiter_take(l, "one more", 1, 100));
	clock_fake(NULL);
	limiter_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_and_no_more_until_the_window_ends),
		cmocka_unit_test(who_succeeded_begins_anew),
		cmocka_unit_test(a_full_table_lets_nobody_in_until_windows_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
