/* daemon/ahead: which pieces come next */
#include "daemon/ahead.h"

#include "test/unit/unit.h"

#define MIB (1u << 20)

static const struct geometry four_mib = {1000ull * 4 * MIB, 4 * MIB, 1000};

static uint32_t window(const struct ahead *a, const struct geometry *g, uint32_t *first_out)
{
	uint32_t first = 0, end = 0;

	if (!ahead_window(a, g, 0, &first, &end))
		return 0;
	*first_out = first;
	return end - first;
}

static void a_read_from_the_start_is_followed_by_two_pieces(void **state)
{
	struct ahead a = {0};
	uint32_t first = 0;

	(void)state;
	assert_true(ahead_read(&a, &four_mib, 0, 4096));
	assert_int_equal(window(&a, &four_mib, &first), 2);
	assert_int_equal(first, 1);
}

static void a_read_in_the_middle_is_followed_by_nothing(void **state)
{
	struct ahead a = {0};
	uint32_t first = 0;

	(void)state;
	assert_false(ahead_read(&a, &four_mib, 400 * MIB, 4096));
	assert_int_equal(window(&a, &four_mib, &first), 0);
}

static void the_window_doubles_up_to_its_bounds(void **state)
{
	struct ahead a = {0};
	uint32_t first = 0;
	static const uint32_t want[] = {2, 4, 8, 16, 16, 16};

	(void)state;
	for (uint32_t i = 0; i < 6; i++) {
		ahead_read(&a, &four_mib, i * 4ull * MIB, 4 * MIB);
		assert_int_equal(window(&a, &four_mib, &first), want[i]);
		assert_int_equal(first, i + 1);
	}
}

static void large_pieces_are_bounded_by_bytes(void **state)
{
	const struct geometry g = {100ull * 32 * MIB, 32 * MIB, 100};
	struct ahead a = {0};
	uint32_t first = 0;

	(void)state;
	for (uint64_t off = 0; off < 200ull * MIB; off += MIB)
		ahead_read(&a, &g, off, MIB);
	assert_int_equal(window(&a, &g, &first), 2);
}

static void reads_out_of_order_are_one_stream(void **state)
{
	static const uint64_t offs[] = {0, 2, 1, 3, 5, 4};
	struct ahead a = {0};
	uint32_t first = 0, end;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		ahead_read(&a, &four_mib, offs[i] * MIB, MIB);
	assert_true(window(&a, &four_mib, &first) >= 2);
	assert_false(ahead_window(&a, &four_mib, 1, &first, &end));
}

static void random_reads_are_followed_by_nothing(void **state)
{
	struct ahead a = {0};
	uint64_t x = 12345;
	unsigned windows = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		uint32_t first = 0;

		x = x * 6364136223846793005u + 1442695040888963407u;
		ahead_read(&a, &four_mib, (x >> 33) % (four_mib.content_length - 4096), 4096);
		windows += window(&a, &four_mib, &first) > 0;
	}
	assert_true(windows < 50);
}

static void the_window_ends_with_the_content(void **state)
{
	const struct geometry g = {3ull * 4 * MIB, 4 * MIB, 3};
	struct ahead a = {0};
	uint32_t first = 0;

	(void)state;
	ahead_read(&a, &g, 0, MIB);
	ahead_read(&a, &g, 4 * MIB, MIB);
	assert_int_equal(window(&a, &g, &first), 1);
	ahead_read(&a, &g, 8 * MIB, 4 * MIB);
	assert_int_equal(window(&a, &g, &first), 0);
}

static void the_stream_read_last_comes_first(void **state)
{
	struct ahead a = {0};
	uint32_t first = 0;

	(void)state;
	ahead_read(&a, &four_mib, 0, MIB);
	ahead_read(&a, &four_mib, 400 * MIB, MIB);
	ahead_read(&a, &four_mib, 401 * MIB, MIB);
	assert_int_equal(window(&a, &four_mib, &first), 1);
	assert_int_equal(first, 101);
	assert_true(ahead_has(&a, &four_mib, 2));
	assert_true(ahead_has(&a, &four_mib, 101));
	assert_false(ahead_has(&a, &four_mib, 100));
}

static void the_oldest_stream_gives_way(void **state)
{
	struct ahead a = {0};

	(void)state;
	ahead_read(&a, &four_mib, 0, MIB);
	assert_true(ahead_has(&a, &four_mib, 1));
	for (unsigned i = 1; i <= AHEAD_STREAMS; i++)
		ahead_read(&a, &four_mib, i * 400ull * MIB, MIB);
	assert_false(ahead_has(&a, &four_mib, 1));
}

static void narrowing_takes_speculation_back(void **state)
{
	struct ahead a = {0};

	(void)state;
	ahead_read(&a, &four_mib, 0, MIB);
	ahead_narrow(&a, 1);
	assert_true(ahead_has(&a, &four_mib, 1));
	assert_false(ahead_has(&a, &four_mib, 2));
	ahead_narrow(&a, 0);
	assert_false(ahead_has(&a, &four_mib, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_from_the_start_is_followed_by_two_pieces),
		cmocka_unit_test(a_read_in_the_middle_is_followed_by_nothing),
		cmocka_unit_test(the_window_doubles_up_to_its_bounds),
		cmocka_unit_test(large_pieces_are_bounded_by_bytes),
		cmocka_unit_test(reads_out_of_order_are_one_stream),
		cmocka_unit_test(random_reads_are_followed_by_nothing),
		cmocka_unit_test(the_window_ends_with_the_content),
		cmocka_unit_test(the_stream_read_last_comes_first),
		cmocka_unit_test(the_oldest_stream_gives_way),
		cmocka_unit_test(narrowing_takes_speculation_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
