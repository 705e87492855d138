/* How long a child that was told of a piece is expected to ask for it. */
#include "daemon/callers.h"

#include "test/unit/unit.h"

static struct callers told_at(uint32_t number, int64_t now_ms)
{
	struct callers c;

	callers_init(&c);
	callers_told(&c, number, now_ms);
	return c;
}

static void who_was_told_is_expected(void **state)
{
	struct callers c = told_at(7, 1000);

	(void)state;
	callers_told(&c, 8, 1010);
	assert_int_equal(callers_expected(&c, 1020), 2);
}

static void who_has_asked_is_not_expected_any_more(void **state)
{
	struct callers c = told_at(7, 1000);

	(void)state;
	callers_told(&c, 8, 1010);
	callers_asked(&c, 7, 1015);
	assert_int_equal(callers_expected(&c, 1020), 1);
	callers_asked(&c, 7, 1016); /* somebody else, from whom nothing is expected */
	assert_int_equal(callers_expected(&c, 1020), 1);
	callers_asked(&c, 8, 1017);
	assert_int_equal(callers_expected(&c, 1020), 0);
}

static void who_does_not_ask_is_not_expected_for_ever(void **state)
{
	struct callers c = told_at(7, 1000);

	(void)state;
	callers_told(&c, 8, 1000 + CALLERS_WAIT_MS / 2);
	assert_int_equal(callers_expected(&c, 1000 + CALLERS_WAIT_MS - 1), 2);
	assert_int_equal(callers_expected(&c, 1000 + CALLERS_WAIT_MS), 1);
	assert_int_equal(callers_expected(&c, 1000 + 2 * CALLERS_WAIT_MS), 0);
}

/* Everybody takes so long, for a while. */
static void rehearse(struct callers *c, int64_t took_ms)
{
	for (int64_t at_ms = 0; at_ms < 100000; at_ms += 2000) {
		callers_told(c, 3, at_ms);
		callers_asked(c, 3, at_ms + took_ms);
	}
}

static void where_asking_takes_long_more_patience_is_had(void **state)
{
	struct callers c;

	(void)state;
	callers_init(&c);
	rehearse(&c, 300); /* late at first */
	callers_told(&c, 1, 200000);
	assert_int_equal(callers_expected(&c, 200400), 1);
	assert_int_equal(callers_expected(&c, 200700), 0);
	rehearse(&c, 900);
	callers_told(&c, 1, 300000);
	assert_int_equal(callers_expected(&c, 300000 + CALLERS_WAIT_MS_MAX), 0);
}

static void where_asking_is_quick_slots_are_soon_free_again(void **state)
{
	struct callers c;

	(void)state;
	callers_init(&c);
	rehearse(&c, 0);
	callers_told(&c, 1, 200000);
	assert_int_equal(callers_expected(&c, 200000 + CALLERS_WAIT_MS_MIN - 1), 1);
	assert_int_equal(callers_expected(&c, 200000 + CALLERS_WAIT_MS_MIN), 0);
}

static void where_few_come_few_are_expected(void **state)
{
	struct callers c;

	(void)state;
	callers_init(&c);
	for (uint32_t i = 0; i < 400; i++) {
		int64_t at_ms = 5000 * (int64_t)i;

		callers_told(&c, i, at_ms);
		if (i % 4 == 0)
			callers_asked(&c, i, at_ms + 10);
		assert_true(callers_expected(&c, at_ms + 4000) == 0);
	}
	for (uint32_t i = 0; i < 40; i++)
		callers_told(&c, i, 3000000);
	assert_in_range(callers_expected(&c, 3000001), 5, 15);
}

static void whoever_was_told_longest_ago_gives_way(void **state)
{
	struct callers c;

	(void)state;
	callers_init(&c);
	for (uint32_t i = 0; i < CALLERS_MAX + 5; i++)
		callers_told(&c, i, 1000);
	assert_int_equal(callers_expected(&c, 1000), CALLERS_MAX);
	callers_asked(&c, 4, 1001); /* forgotten */
	assert_int_equal(callers_expected(&c, 1001), CALLERS_MAX);
	callers_asked(&c, CALLERS_MAX + 4, 1001);
	assert_int_equal(callers_expected(&c, 1001), CALLERS_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_was_told_is_expected),
		cmocka_unit_test(who_has_asked_is_not_expected_any_more),
		cmocka_unit_test(who_does_not_ask_is_not_expected_for_ever),
		cmocka_unit_test(where_asking_takes_long_more_patience_is_had),
		cmocka_unit_test(where_asking_is_quick_slots_are_soon_free_again),
		cmocka_unit_test(where_few_come_few_are_expected),
		cmocka_unit_test(whoever_was_told_longest_ago_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
