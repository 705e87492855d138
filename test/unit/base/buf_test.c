/* base/buf */
#include "test/unit/unit.h"

#include "base/buf.h"
#include "base/mem.h"

#include <string.h>

static void appends_grow_and_end_with_a_nul(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%d,", i);
	buf_puts(&b, "end");
	buf_append(&b, "\0x", 2);
	assert_int_equal(b.len, 3890 + 3 + 2);
	assert_memory_equal(b.data, "0,1,2,", 6);
	assert_int_equal(b.data[b.len], 0);
	assert_int_equal(b.data[b.len - 2], 0);
	assert_false(b.overflow);
	buf_release(&b);
	assert_null(b.data);
}

static void the_bound_holds_and_is_remembered(void **state)
{
	struct buf b = BUF_INIT(5);

	(void)state;
	buf_puts(&b, "12345");
	assert_false(b.overflow);
	buf_puts(&b, "6");
	assert_true(b.overflow);
	buf_append(&b, "", 0);
	buf_printf(&b, "%d", 7);
	assert_string_equal(b.data, "12345");
	buf_clear(&b);
	assert_false(b.overflow);
	buf_append(&b, "longer than it", SIZE_MAX);
	assert_true(b.overflow);
	assert_int_equal(b.len, 0);
	buf_release(&b);
	assert_int_equal(b.len_max, 5);
}

static void consuming_moves_the_rest_to_the_front(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	buf_consume(&b, 0);
	buf_puts(&b, "head:body");
	buf_consume(&b, 5);
	assert_string_equal(b.data, "body");
	buf_consume(&b, 4);
	assert_int_equal(b.len, 0);
	assert_string_equal(b.data, "");
	buf_release(&b);
}

static void taking_hands_the_memory_over(void **state)
{
	struct buf b = BUF_INIT(9);
	char *empty = buf_take(&b), *text;

	(void)state;
	assert_string_equal(empty, "");
	free(empty);
	buf_puts(&b, "x");
	text = buf_take(&b);
	assert_string_equal(text, "x");
	assert_null(b.data);
	assert_int_equal(b.len_max, 9);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_grow_and_end_with_a_nul),
		cmocka_unit_test(the_bound_holds_and_is_remembered),
		cmocka_unit_test(consuming_moves_the_rest_to_the_front),
		cmocka_unit_test(taking_hands_the_memory_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
