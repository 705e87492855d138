#include "test/unit/unit.h"

#include "base/header_lines.h"
#include "base/mem.h"
#include "daemon/header_list.h"

#include <errno.h>
#include <string.h>

static int add(struct buf *lines, const char *raw)
{
	struct err e;

	return header_lines_add(lines, raw, strlen(raw), &e);
}

static void lines_are_kept_in_one_form(void **state)
{
	cleanup(buf_release) struct buf lines = BUF_INIT(1000);

	(void)state;
	assert_int_equal(add(&lines, "A:b\r\n"), 0);
	assert_int_equal(add(&lines, "C: \t d e \t\r\n"), 0);
	assert_int_equal(add(&lines, "Empty:\n"), 0);
	assert_int_equal(add(&lines, "Last: x"), 0);
	assert_string_equal(lines.data, "A: b\nC: d e\nEmpty: \nLast: x\n");
}

static void malformed_lines_are_refused(void **state)
{
	static const char *const raw[] = {
		"no colon\r\n",	 ": no name\r\n", "bl ank: x\r\n", " folded: x\r\n",
		"A: b\rc\r\n",	 "A: \x7f\r\n",	  "A\x80: b\r\n",  "",
		"A: b\nC: d\r\n"};
	cleanup(buf_release) struct buf lines = BUF_INIT(1000);
	struct err e;

	(void)state;
	for (size_t i = 0; i < array_len(raw); i++)
		assert_int_equal(add(&lines, raw[i]), -EPROTO);
	assert_int_equal(header_lines_add(&lines, "A: b\0c\r\n", 8, &e), -EPROTO);
	assert_int_equal(lines.len, 0);
}

static void lines_are_bounded(void **state)
{
	cleanup(buf_release) struct buf lines = BUF_INIT(20);

	(void)state;
	assert_int_equal(add(&lines, "A: 0123456789\r\n"), 0);
	assert_int_equal(add(&lines, "B: 0123456789\r\n"), -EPROTO);
}

static void values_are_found_by_name(void **state)
{
	const char *lines = "A: 1\nAB: 2\na: 3\nEmpty: \n";
	cleanup(free_at) char *first = header_lines_get(lines, "a", 0);
	cleanup(free_at) char *second = header_lines_get(lines, "A", 1);
	cleanup(free_at) char *empty = header_lines_get(lines, "EMPTY", 0);
	cleanup(buf_release) struct buf picked = {0};

	(void)state;
	assert_string_equal(first, "1");
	assert_string_equal(second, "3");
	assert_string_equal(empty, "");
	assert_null(header_lines_get(lines, "A", 2));
	assert_null(header_lines_get(lines, "B", 0));
	assert_null(header_lines_get(NULL, "A", 0));
	header_lines_pick(&picked, lines, (const char *const[]){"AB", "A", "X", NULL});
	assert_string_equal(picked.data, "AB: 2\nA: 1\nA: 3\n");
}

static void hop_by_hop_lines_are_dropped(void **state)
{
	cleanup(buf_release) struct buf out = {0};

	(void)state;
	header_lines_end_to_end(&out, "Connection: close, X-One\nX-One: 1\nconnection: x-two\n"
				      "X-Two: 2\nX-On: 3\nTE: x\nTrailer: x\nUpgrade: x\n"
				      "Transfer-Encoding: chunked\nProxy-Authenticate: x\n"
				      "Keep-Alive: x\nETag: \"a\"\n");
	assert_string_equal(out.data, "X-On: 3\nETag: \"a\"\n");
}

static void request_headers_are_checked(void **state)
{
	static const struct {
		const char *name, *value;
		int want;
	} cases[] = {{"A", "b", 0},	   {"A", NULL, 0},	  {"A", "tab\there", 0},
		     {"", "b", -EINVAL},   {"A b", "c", -EINVAL}, {"A:", "c", -EINVAL},
		     {"A", "\n", -EINVAL}, {"A", "x\r", -EINVAL}};
	struct err e;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct {
			char *name, *value;
		} item = {(char *)cases[i].name, (char *)cases[i].value};
		struct config_pairs pairs = {.items = (void *)&item, .count = 1};

		assert_int_equal(header_pairs_check(&pairs, &e), cases[i].want);
	}
	assert_int_equal(header_pairs_check(NULL, &e), 0);
	assert_null(header_pairs_get(NULL, "A"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_kept_in_one_form),
		cmocka_unit_test(malformed_lines_are_refused),
		cmocka_unit_test(lines_are_bounded),
		cmocka_unit_test(values_are_found_by_name),
		cmocka_unit_test(hop_by_hop_lines_are_dropped),
		cmocka_unit_test(request_headers_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
