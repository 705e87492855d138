/* Levels of a location. */
#include "proto/location.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void levels_are_counted_from_the_widest_on(void **state)
{
	(void)state;
	assert_int_equal(location_equal_levels("asia|cn|hz", "asia|cn|hz"), 3);
	assert_int_equal(location_equal_levels("asia|cn|hz", "ASIA|cn|sh"), 2);
	assert_int_equal(location_equal_levels("asia|cn|hz", "europe|cn|hz"), 0);
	assert_int_equal(location_equal_levels("asia|cn", "asia|cn|hz"), 2);
}

static void a_level_is_alike_only_as_a_whole(void **state)
{
	(void)state;
	assert_int_equal(location_equal_levels("asia|c", "asia|cn"), 1);
	assert_int_equal(location_equal_levels("asiatic", "asia"), 0);
}

static void five_levels_are_enough(void **state)
{
	(void)state;
	assert_int_equal(location_equal_levels("a|b|c|d|e|f", "a|b|c|d|e|f"), LOCATION_LEVELS);
}

static void nothing_is_like_nothing(void **state)
{
	(void)state;
	assert_int_equal(location_equal_levels("", ""), 0);
	assert_int_equal(location_equal_levels("asia", ""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels_are_counted_from_the_widest_on),
		cmocka_unit_test(a_level_is_alike_only_as_a_whole),
		cmocka_unit_test(five_levels_are_enough),
		cmocka_unit_test(nothing_is_like_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
