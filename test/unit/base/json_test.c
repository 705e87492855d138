/* base/json */
#include "test/unit/unit.h"

#include "base/json.h"

#include <errno.h>
#include <string.h>

static int parse(const char *text, json_t **out, struct err *e)
{
	return json_parse(text, strlen(text), 1000, out, e);
}

static void members_are_read_by_type(void **state)
{
	cleanup(json_decref_at) json_t *j = NULL;
	cleanup(free_at) char *text = NULL;
	struct err e;

	(void)state;
	assert_int_equal(parse("{\"s\": \"x\", \"n\": 7, \"neg\": -1, \"f\": 1.5}", &j, &e), 0);
	assert_string_equal(json_str(j, "s"), "x");
	assert_null(json_str(j, "n"));
	assert_null(json_str(j, "absent"));
	assert_null(json_str(NULL, "s"));
	assert_int_equal(json_u64(j, "n", 9), 7);
	assert_int_equal(json_u64(j, "neg", 9), 9);
	assert_int_equal(json_u64(j, "f", 9), 9);
	assert_int_equal(json_u64(j, "s", 9), 9);
	assert_int_equal(json_u64(j, "absent", 9), 9);
	text = json_print(j);
	assert_non_null(strstr(text, "\"n\":7"));
}

static void wrong_documents_are_refused(void **state)
{
	static const char *const cases[] = {
		"", "{", "{\"a\":1,\"a\":2}", "{\"a\":1} x", "nul", "\"\\u0000\"", "\"\xff\""};
	json_t *j = NULL;
	struct err e;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		assert_int_equal(parse(cases[i], &j, &e), -EINVAL);
		assert_non_null(strstr(e.text, "line "));
	}
}

static void errors_do_not_quote_the_document(void **state)
{
	json_t *j = NULL;
	struct err e;

	(void)state;
	assert_int_equal(parse("{\"token\": PLANTED}", &j, &e), -EINVAL);
	assert_null(strstr(e.text, "PLANTED"));
	assert_int_equal(parse("{\"PLANTED\": 1, \"PLANTED\": 2}", &j, &e), -EINVAL);
	assert_null(strstr(e.text, "PLANTED"));
}

static void depth_and_length_are_bounded(void **state)
{
	char deep[900];
	json_t *j = NULL;
	struct err e;

	(void)state;
	assert_int_equal(json_parse("[1,2]", 5, 4, &j, &e), -EMSGSIZE);
	memset(deep, '[', sizeof(deep));
	assert_int_equal(json_parse(deep, sizeof(deep), sizeof(deep), &j, &e), -EINVAL);
	assert_non_null(strstr(e.text, "deep"));
	assert_true(json_is_shallow(deep, JSON_DEPTH_MAX));
	assert_false(json_is_shallow(deep, JSON_DEPTH_MAX + 1));
	deep[0] = '"'; /* in a string they are letters, also behind an escaped quote */
	assert_true(json_is_shallow(deep, sizeof(deep)));
	memcpy(deep, "\"\\\"", 3);
	assert_true(json_is_shallow(deep, sizeof(deep)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_are_read_by_type),
		cmocka_unit_test(wrong_documents_are_refused),
		cmocka_unit_test(errors_do_not_quote_the_document),
		cmocka_unit_test(depth_and_length_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
