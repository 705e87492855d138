/* base/bits */
#include "test/unit/unit.h"

#include "base/bits.h"

static void bits_that_others_lack_are_counted(void **state)
{
	const uint64_t bits[] = {UINT64_C(1) << 63 | 5, UINT64_MAX};
	const uint64_t others[] = {4, UINT64_MAX - 1};

	(void)state;
	assert_int_equal(bits_alone(bits, NULL, 0), 0);
	assert_int_equal(bits_alone(bits, NULL, 2), 1);
	assert_int_equal(bits_alone(bits, NULL, 3), 2);
	assert_int_equal(bits_alone(bits, NULL, 63), 2);
	assert_int_equal(bits_alone(bits, NULL, 64), 3);
	assert_int_equal(bits_alone(bits, NULL, 128), 67);
	assert_int_equal(bits_alone(bits, others, 64), 2);
	assert_int_equal(bits_alone(bits, others, 65), 3);
	assert_int_equal(bits_alone(bits, others, 128), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_that_others_lack_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
