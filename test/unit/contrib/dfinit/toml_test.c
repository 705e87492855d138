/* contrib/dfinit/toml */
#include "test/unit/unit.h"

#include "base/mem.h"
#include "contrib/dfinit/toml.h"

#include <errno.h>
#include <string.h>

static struct toml parsed(const char *text)
{
	struct toml t;
	struct err e;

	assert_int_equal(toml_parse("f", text, strlen(text), &t, &e), 0);
	return t;
}

static void assert_text(const struct toml *t, const char *path, const char *want)
{
	char *text cleanup(free_at) = toml_text_of(t, path);

	assert_non_null(text);
	assert_string_equal(text, want);
}

static void keys_are_found_however_they_are_written(void **state)
{
	struct toml t cleanup(toml_release) =
		parsed("a.\"b.c\".d = \"1\"\n"
		       "[x . 'y z']\r\n  k = 'C:\\x' # comment\r\n"
		       "in = { p = \"2\", q.r = \"3\" }\n"
		       "[[l]]\nk = \"4\"\n[[l]]\nk = \"5\"\n"
		       "[e]\nesc = \"a\\tb\\u00e9\\\"\"\nmany = \"\"\"\nx\\\n   y\"\"\"\n");

	(void)state;
	assert_text(&t, "a.\"b.c\".d", "1");
	assert_text(&t, "x.\"y z\".k", "C:\\x");
	assert_text(&t, "x.\"y z\".in.p", "2");
	assert_text(&t, "x.\"y z\".in.q.r", "3");
	assert_text(&t, "l.k", "4");
	assert_text(&t, "e.esc", "a\tb\303\251\"");
	assert_text(&t, "e.many", "xy");
	assert_null(toml_key(&t, "x.nothing"));
	assert_true(toml_has(&t, "a.\"b.c\""));
	assert_false(toml_has(&t, "a.b"));
}

static void texts_of_a_list_are_taken_with_its_comments_left(void **state)
{
	struct toml t cleanup(toml_release) =
		parsed("l = [ \"a\", # \"not this\"\n 'b',\n]\nn = [1, 2]\n");
	char *texts[4];

	(void)state;
	assert_int_equal(toml_texts(&t, toml_key(&t, "l"), texts, 4), 2);
	assert_string_equal(texts[0], "a");
	assert_string_equal(texts[1], "b");
	free(texts[0]);
	free(texts[1]);
	assert_int_equal(toml_texts(&t, toml_key(&t, "n"), texts, 4), 0);
}

static void what_is_no_toml_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"a = 1\nb\n", "f:2: expected = behind a key"},
		{"a = \"x\n", "f:1: a string without its end"},
		{"a = \"\\q\"\n", "f:1: unknown escape"},
		{"a = [1 2]\n", "f:1: expected , or ] in an array"},
		{"a = {b = 1\n}\n", "f:1: expected , or } in an inline table"},
		{"[a\n", "f:1: expected ] behind a table's name"},
		{"a = 1 b = 2\n", "f:1: expected the end of the line"},
		{"a = 1\n\n[x]\n[x]\n", "f:4: stands twice"},
		{"a = 1\na = 2\n", "f:2: stands twice"},
		{"a =\n", "f:1: expected a value"},
		{"= 1\n", "f:1: expected a key"},
		{"a = \"\001\"\n", "f:1: a control character in a string"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct toml t;
		struct err e = {0};

		assert_int_equal(toml_parse("f", cases[i].text, strlen(cases[i].text), &t, &e),
				 -EINVAL);
		assert_string_equal(e.text, cases[i].want);
		toml_release(&t);
	}
}

static void nesting_without_end_is_refused(void **state)
{
	char *text cleanup(free_at) = mem_alloc(5002);
	struct toml t cleanup(toml_release) = {0};
	struct err e;

	(void)state;
	memset(text, '[', 5001);
	memcpy(text, "a=", 2);
	assert_int_equal(toml_parse("f", text, 5001, &t, &e), -EINVAL);
}

static void assert_set(const char *before, const char *table, const char *key, const char *after)
{
	struct toml t cleanup(toml_release) = parsed(before);
	struct err e = {0};

	assert_int_equal(toml_set(&t, table, key, "\"v\"", &e), 0);
	assert_string_equal(t.text, after);
}

static void setting_changes_nothing_else(void **state)
{
	(void)state;
	assert_set("# c\n[a]\n  k = \"old\" # why\n\n[b]\n", "a", "k",
		   "# c\n[a]\n  k = \"v\" # why\n\n[b]\n");
	assert_set("[a]\n    x = 1 # y\n\n# of b\n[b]\n", "a", "k",
		   "[a]\n    x = 1 # y\n    k = \"v\"\n\n# of b\n[b]\n");
	assert_set("[a]", "a", "k", "[a]\n  k = \"v\"\n");
	assert_set("x = 1\n", "a.\"b.c\"", "k", "x = 1\n\n[a.\"b.c\"]\n  k = \"v\"\n");
	assert_set("", "a", "k", "[a]\n  k = \"v\"\n");
	assert_set("a.b.x = 1\ny = 2\n", "a.b", "k", "a.b.x = 1\na.b.k = \"v\"\ny = 2\n");
	assert_set("[a]\n b.x = 1\n", "a.b", "k", "[a]\n b.x = 1\n b.k = \"v\"\n");
	assert_set("a = {k = 1}\n", "a", "k", "a = {k = \"v\"}\n");
	assert_set("[x]\n", "", "k", "k = \"v\"\n[x]\n");
	assert_set("[a]\n x = [\n  1, # one\n ]\n", "a", "k",
		   "[a]\n x = [\n  1, # one\n ]\n k = \"v\"\n");
}

static void adding_to_an_inline_table_is_refused(void **state)
{
	struct toml t cleanup(toml_release) = parsed("a = {b = 1}\n");
	struct err e = {0};

	(void)state;
	assert_int_equal(toml_set(&t, "a", "k", "1", &e), -EOPNOTSUPP);
	assert_string_equal(t.text, "a = {b = 1}\n");
	assert_int_equal(toml_comment_out(&t, "a.b", &e), -EOPNOTSUPP);
}

static void commenting_out_takes_all_lines_and_no_others(void **state)
{
	struct toml t cleanup(toml_release) =
		parsed("[r]\nk = 1\n [r.m]\n  [r.m.\"x\"]\n  e = [\n   \"a\",\n  ]\n"
		       "# between\n[r.mm]\nz = 1\n[r.m.y]\nin = {q = 1}\n");
	struct err e = {0};

	(void)state;
	assert_int_equal(toml_comment_out(&t, "r.m", &e), 0);
	assert_string_equal(t.text, "[r]\nk = 1\n#  [r.m]\n#   [r.m.\"x\"]\n#   e = [\n"
				    "#    \"a\",\n#   ]\n# between\n[r.mm]\nz = 1\n"
				    "# [r.m.y]\n# in = {q = 1}\n");
}

static void an_insert_that_spoils_the_file_is_refused(void **state)
{
	struct toml t cleanup(toml_release) = parsed("a = 1\n");
	struct err e = {0};

	(void)state;
	assert_int_equal(toml_insert(&t, 0, "a = 2\n", &e), -EINVAL);
	assert_string_equal(t.text, "a = 1\n");
}

static void a_part_of_a_path_is_unquoted(void **state)
{
	char *part cleanup(free_at) = toml_part_behind("m.\"reg.x:5\".endpoint", "m");
	char *bare cleanup(free_at) = toml_part_behind("m.reg.endpoint", "m");

	(void)state;
	assert_string_equal(part, "reg.x:5");
	assert_string_equal(bare, "reg");
	assert_null(toml_part_behind("m", "m"));
	assert_null(toml_part_behind("mm.x", "m"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_found_however_they_are_written),
		cmocka_unit_test(texts_of_a_list_are_taken_with_its_comments_left),
		cmocka_unit_test(what_is_no_toml_is_refused_with_its_line),
		cmocka_unit_test(nesting_without_end_is_refused),
		cmocka_unit_test(setting_changes_nothing_else),
		cmocka_unit_test(adding_to_an_inline_table_is_refused),
		cmocka_unit_test(commenting_out_takes_all_lines_and_no_others),
		cmocka_unit_test(an_insert_that_spoils_the_file_is_refused),
		cmocka_unit_test(a_part_of_a_path_is_unquoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
