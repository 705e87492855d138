/* contrib/dfinit/diff */
#include "test/unit/unit.h"

#include "base/cleanup.h"
#include "contrib/dfinit/diff.h"

#include <string.h>

static void assert_diff(const char *before, const char *after, const char *want)
{
	char *text cleanup(free_at) = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	diff_print(before, after, f);
	fclose(f);
	assert_string_equal(text, want);
}

static void equal_texts_differ_in_nothing(void **state)
{
	(void)state;
	assert_diff("", "", "");
	assert_diff("a\nb\n", "a\nb\n", "");
}

static void a_hunk_has_three_lines_around_it(void **state)
{
	(void)state;
	assert_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nX\n6\n7\n8\n9\n",
		    "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+X\n 6\n 7\n 8\n");
	assert_diff("", "a\n", "@@ -0,0 +1,1 @@\n+a\n");
	assert_diff("a\n", "", "@@ -1,1 +0,0 @@\n-a\n");
}

static void changes_far_apart_are_two_hunks(void **state)
{
	(void)state;
	assert_diff("a\n1\n2\n3\n4\n5\n6\n7\nb\n", "A\n1\n2\n3\n4\n5\n6\n7\nB\n",
		    "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n 3\n"
		    "@@ -6,4 +6,4 @@\n 5\n 6\n 7\n-b\n+B\n");
}

static void changes_near_each_other_are_one(void **state)
{
	(void)state;
	assert_diff("a\n1\n2\nb\n", "A\n1\n2\nB\n", "@@ -1,4 +1,4 @@\n-a\n+A\n 1\n 2\n-b\n+B\n");
}

static void a_missing_newline_at_the_end_is_told(void **state)
{
	(void)state;
	assert_diff("a", "a\n", "@@ -1,1 +1,1 @@\n-a\n\\ No newline at end of file\n+a\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_texts_differ_in_nothing),
		cmocka_unit_test(a_hunk_has_three_lines_around_it),
		cmocka_unit_test(changes_far_apart_are_two_hunks),
		cmocka_unit_test(changes_near_each_other_are_one),
		cmocka_unit_test(a_missing_newline_at_the_end_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
