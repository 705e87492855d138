/* base/bucket, on a clock that stands still until told. */
#include "test/unit/unit.h"

#include "base/bucket.h"
#include "base/clock.h"

static int64_t now_ms = 1000;

static int freeze(void **state)
{
	(void)state;
	now_ms = 1000;
	clock_fake(&now_ms);
	return 0;
}

static int thaw(void **state)
{
	(void)state;
	clock_fake(NULL);
	return 0;
}

static void no_rate_is_no_limit(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 0, 0);
	assert_int_equal(bucket_take(&b, UINT64_MAX), 0);
	assert_true(bucket_try(&b, UINT64_MAX));
	bucket_release(&b);
}

static void debt_is_waited_off(void **state)
{
	struct bucket b;
	int64_t wait_ms;

	(void)state;
	bucket_init(&b, 1000, 0); /* a burst of 100 */
	assert_int_equal(bucket_take(&b, 100), 0);
	wait_ms = bucket_take(&b, 500);
	assert_in_range(wait_ms, 500, 501);
	now_ms += wait_ms;
	assert_int_equal(bucket_take(&b, 0), 0);
	bucket_release(&b);
}

static void credit_ends_at_the_burst(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 1000, 300);
	now_ms += 3600000;
	assert_true(bucket_try(&b, 300));
	assert_false(bucket_try(&b, 1));
	now_ms += 10;
	assert_true(bucket_try(&b, 10));
	assert_false(bucket_try(&b, 1));
	bucket_release(&b);
}

static void over_time_the_rate_holds(void **state)
{
	int64_t start_ms = now_ms;
	struct bucket b;

	(void)state;
	bucket_init(&b, 1000000, 0);
	for (int i = 0; i < 1000; i++)
		now_ms += bucket_take(&b, 10000);
	assert_in_range(now_ms - start_ms, 9800, 10100);
	bucket_release(&b);
}

static void who_goes_first_waits_for_nobody_else(void **state)
{
	struct bucket b;

	(void)state;
	bucket_init(&b, 1000, 0);
	assert_in_range(bucket_take(&b, 5100), 5000, 5001);
	assert_int_equal(bucket_take_first(&b, 100), 0);
	assert_in_range(bucket_take_first(&b, 1000), 1000, 1001);
	/* The others pay for it. */
	assert_in_range(bucket_take(&b, 0), 6100, 6101);
	now_ms += 6101;
	assert_int_equal(bucket_take(&b, 0), 0);
	bucket_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(no_rate_is_no_limit, freeze, thaw),
		cmocka_unit_test_setup_teardown(debt_is_waited_off, freeze, thaw),
		cmocka_unit_test_setup_teardown(credit_ends_at_the_burst, freeze, thaw),
		cmocka_unit_test_setup_teardown(over_time_the_rate_holds, freeze, thaw),
		cmocka_unit_test_setup_teardown(who_goes_first_waits_for_nobody_else, freeze, thaw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
