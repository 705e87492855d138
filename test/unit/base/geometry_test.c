/* base/geometry: pieces as Dragonfly's client cuts them. */
#include "test/unit/unit.h"

#include "base/cleanup.h"
#include "base/geometry.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static void piece_lengths_are_those_of_dragonfly(void **state)
{
	static const struct {
		uint64_t content;
		uint32_t want_mib;
	} cases[] = {
		{0, 4},		  {1, 4},	    {2000 * MIB, 4},   {2001 * MIB, 8},
		{4000 * MIB, 8},  {10 * GIB, 32},   {16000 * MIB, 32}, {32 * GIB, 64},
		{1000 * GIB, 64}, {UINT64_MAX, 64},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		assert_int_equal(geometry_piece_length(cases[i].content), cases[i].want_mib * MIB);
}

static void pieces_cover_the_content_exactly(void **state)
{
	static const uint64_t contents[] = {1, 3, 4, 5, 8, 4096, 4097, 10 * GIB + 7};

	(void)state;
	for (size_t i = 0; i < array_len(contents); i++) {
		uint32_t len = contents[i] < GIB ? 4 : 64u << 20;
		struct geometry g;
		uint64_t end = 0;

		assert_true(geometry_init(&g, contents[i], len));
		for (uint32_t no = 0; no < g.piece_count; no++) {
			assert_true(geometry_offset(&g, no) == end);
			assert_int_equal(geometry_index(&g, end), no);
			end += geometry_length(&g, no);
			assert_int_equal(geometry_index(&g, end - 1), no);
		}
		assert_true(end == contents[i]);
	}
}

static void blocks_cover_a_piece_exactly(void **state)
{
	static const uint32_t lengths[] = {1, 15, 16, 17, 300, PIECE_LENGTH_MIN, PIECE_LENGTH_MAX};
	struct geometry g;

	(void)state;
	for (unsigned i = 0; i < array_len(lengths); i++)
		for (uint32_t last = 1; last <= lengths[i]; last += last / 2 + 1) {
			assert_true(geometry_init(&g, lengths[i] + last, lengths[i]));
			uint64_t block = geometry_block_length(&g);
			unsigned count = geometry_block_count(&g, 1);

			assert_true(geometry_block_count(&g, 0) <= PIECE_BLOCKS);
			assert_true(geometry_block_count(&g, 0) * block >= lengths[i]);
			assert_true(count >= 1 && count * block >= last);
			assert_true((count - 1) * block < last);
		}
	assert_true(geometry_init(&g, PIECE_LENGTH_MIN, PIECE_LENGTH_MIN));
	assert_int_equal(geometry_block_length(&g), 256 << 10);
}

static void empty_content_has_no_piece(void **state)
{
	struct geometry g;

	(void)state;
	assert_true(geometry_init(&g, 0, 4));
	assert_int_equal(g.piece_count, 0);
}

static void what_does_not_fit_is_refused(void **state)
{
	struct geometry g;

	(void)state;
	assert_false(geometry_init(&g, 100, 0));
	assert_false(geometry_init(&g, UINT64_C(1) << 40, 1));
	assert_false(geometry_init(&g, (uint64_t)UINT32_MAX + 1, 1));
	assert_true(geometry_init(&g, UINT32_MAX, 1));
	assert_int_equal(g.piece_count, UINT32_MAX);
	assert_true(geometry_init(&g, UINT64_MAX, UINT32_MAX) == false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(piece_lengths_are_those_of_dragonfly),
		cmocka_unit_test(pieces_cover_the_content_exactly),
		cmocka_unit_test(blocks_cover_a_piece_exactly),
		cmocka_unit_test(empty_content_has_no_piece),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
