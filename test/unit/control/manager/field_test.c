/* Bodies against tables of fields: what is taken, what is refused and by which words. */
#include "control/manager/field.h"

#include "../../unit.h"
#include "base/mem.h"
#include "control/manager/cluster_fields.h"
#include "control/manager/expression.h"

#include <errno.h>
#include <string.h>

static const struct field item[] = {{.type = FIELD_TEXT, .min = 1, .max = 4}};
static const struct field inner[] = {
	{.name = "n", .type = FIELD_INT, .min = 1, .max = 9, .fallback = "3"},
	{.name = "must", .type = FIELD_BOOL, .flags = FIELD_REQUIRED},
	{0},
};
static const struct field fields[] = {
	{.name = "name", .type = FIELD_TEXT, .flags = FIELD_REQUIRED, .min = 1, .max = 8},
	{.name = "kind", .type = FIELD_TEXT, .words = "a|bc", .fallback = "\"bc\""},
	{.name = "list", .type = FIELD_LIST, .max = 2, .members = item},
	{.name = "in", .type = FIELD_OBJECT, .members = inner},
	{.name = "free", .type = FIELD_OBJECT},
	{.name = "at", .type = FIELD_TIME},
	{.name = "once", .type = FIELD_INT, .flags = FIELD_CREATE_ONLY},
	{.name = "never", .type = FIELD_INT, .flags = FIELD_READ_ONLY},
	{0},
};

/* What is taken, as text, or the error. The caller frees. */
static char *taken(const char *body, bool creating)
{
	json_t *in cleanup(json_decref_at) = json_loads(body, JSON_DECODE_ANY, NULL);
	json_t *out cleanup(json_decref_at) = NULL;
	struct err e = {0};

	assert_non_null(in);
	if (fields_take(fields, in, creating, &out, &e) < 0) {
		assert_int_equal(e.code, EINVAL);
		return mem_strdup(e.text);
	}
	return json_print(out);
}

static void assert_taken(const char *body, bool creating, const char *want)
{
	char *got cleanup(free_at) = taken(body, creating);

	assert_string_equal(got, want);
}

static void known_members_are_taken_and_defaults_filled_in(void **state)
{
	(void)state;
	assert_taken("{\"name\":\"x\",\"other\":1,\"never\":7,\"once\":2,\"at\":null}", true,
		     "{\"name\":\"x\",\"kind\":\"bc\",\"once\":2}");
	assert_taken("{\"name\":\"x\",\"in\":{\"must\":true,\"z\":1},\"free\":{\"z\":[1]}}", true,
		     "{\"name\":\"x\",\"kind\":\"bc\",\"in\":{\"n\":3,\"must\":true},"
		     "\"free\":{\"z\":[1]}}");
}

static void a_change_needs_nothing_and_fills_in_nothing(void **state)
{
	(void)state;
	assert_taken("{\"once\":2,\"list\":[\"a\"]}", false, "{\"list\":[\"a\"]}");
	assert_taken("{}", false, "{}");
}

static void what_is_wrong_is_said_without_the_value(void **state)
{
	(void)state;
	assert_taken("{}", true, "name is required");
	assert_taken("[]", true, "the body must be a JSON object");
	assert_taken("{\"name\":\"123456789\"}", true, "name: must have 1 to 8 bytes");
	assert_taken("{\"name\":3}", true, "name: must be text");
	assert_taken("{\"name\":\"x\",\"kind\":\"b\"}", true, "kind: must be one of a|bc");
	assert_taken("{\"list\":[\"a\",\"b\",\"c\"]}", false, "list: has more than 2 items");
	assert_taken("{\"list\":[\"a\",\"secret\"]}", false,
		     "list: item 1: must have 1 to 4 bytes");
	assert_taken("{\"list\":1}", false, "list: must be a list");
	assert_taken("{\"in\":{}}", false, "in: must is required");
	assert_taken("{\"in\":{\"must\":1}}", false, "in: must: must be true or false");
	assert_taken("{\"in\":{\"must\":true,\"n\":10}}", false, "in: n: must be 1 to 9");
	assert_taken("{\"in\":{\"must\":true,\"n\":1.5}}", false, "in: n: must be a whole number");
	assert_taken("{\"free\":[]}", false, "free: must be an object");
	assert_taken("{\"at\":\"tomorrow\"}", false,
		     "at: must be a time such as 2030-01-31T12:00:00Z");
}

static void a_free_object_has_a_bound(void **state)
{
	char *big cleanup(free_at) = mem_alloc(70000);
	char *body cleanup(free_at) = NULL;

	(void)state;
	memset(big, 'x', 69999);
	body = mem_printf("{\"free\":{\"a\":\"%s\"}}", big);
	assert_taken(body, false, "free: is larger than 64 KiB");
}

static void times_are_rfc_3339(void **state)
{
	int64_t ms = 0;
	char text[32];

	(void)state;
	assert_true(field_parse_time("2026-08-20T12:00:00Z", &ms));
	field_print_time(ms, text);
	assert_string_equal(text, "2026-08-20T12:00:00.000Z");
	assert_true(field_parse_time("2026-08-20T14:00:00.25+02:00", &ms));
	field_print_time(ms, text);
	assert_string_equal(text, "2026-08-20T12:00:00.250Z");
	for (size_t i = 0; i < 7; i++) {
		static const char *const bad[] = {"",
						  "2026-08-20",
						  "2026-08-20T12:00:00",
						  "2026-13-20T12:00:00Z",
						  "2026-08-20T12:00:00.Z",
						  "2026-08-20T12:00:00+2",
						  "2026-08-20T12:00:00Zx"};

		assert_false(field_parse_time(bad[i], &ms));
	}
}

static void cidrs_and_expressions_are_checked(void **state)
{
	static const char *const cidrs[] = {"10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::/128"};
	static const char *const not_cidrs[] = {"",	      "10.0.0.0",    "10.0.0.0/33",
						"10.0.0/8",   "10.0.0.0/-1", "10.0.0.0/8x",
						"fd00::/129", "10.0.0.0/ 8", "x/8"};
	static const char *const regexes[] = {
		"^node-[0-9]{1,3}\\.example$", "(a+)+b{2,}|c*",	    "[]{}[:alpha:]x]+", "a{,3}", "",
		"^([a-z0-9]+-){1,20}$",	       "(\\.[0-9]{1,3}){3}"};
	static const char *const not_regexes[] = {"(",
						  "[",
						  "a{2",
						  "((a{99}){99}){99}",
						  "(a)\\1",
						  "a++",
						  "a?*",
						  "a{9999}{9999}",
						  "((a{,99}){,99}){,99}",
						  "^(){,1414}",
						  "^(a?){,900}",
						  "^(){1,5}(){1,5}",
						  "((\\b){,5}){,5}",
						  "((((((((((((((((((a))))))))))))))))))"};

	(void)state;
	for (size_t i = 0; i < array_len(cidrs); i++)
		assert_int_equal(field_check_cidr(cidrs[i], NULL), 0);
	for (size_t i = 0; i < array_len(not_cidrs); i++)
		assert_int_equal(field_check_cidr(not_cidrs[i], NULL), -EINVAL);
	for (size_t i = 0; i < array_len(regexes); i++)
		assert_int_equal(expression_check(regexes[i], NULL), 0);
	for (size_t i = 0; i < array_len(not_regexes); i++)
		assert_int_equal(expression_check(not_regexes[i], NULL), -EINVAL);
}

static void a_schema_has_what_a_body_may_have(void **state)
{
	json_t *in cleanup(json_decref_at) = fields_schema(fields, true);
	json_t *out cleanup(json_decref_at) = fields_schema(fields, false);
	json_t *properties = json_object_get(in, "properties");

	(void)state;
	assert_null(json_object_get(properties, "never"));
	assert_non_null(json_object_get(json_object_get(out, "properties"), "never"));
	assert_int_equal(json_array_size(json_object_get(in, "required")), 1);
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(properties, "kind"), "enum")), 2);
}

/* The tables' own defaults must be what the tables take. */
static void defaults_of_clusters_are_good(void **state)
{
	json_t *body cleanup(json_decref_at) = json_pack("{s:s}", "name", "c");
	json_t *once cleanup(json_decref_at) = NULL, *twice cleanup(json_decref_at) = NULL;

	(void)state;
	assert_int_equal(fields_take(cluster_fields, body, true, &once, NULL), 0);
	assert_int_equal(fields_take(cluster_fields, once, true, &twice, NULL), 0);
	assert_true(json_equal(once, twice));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_members_are_taken_and_defaults_filled_in),
		cmocka_unit_test(a_change_needs_nothing_and_fills_in_nothing),
		cmocka_unit_test(what_is_wrong_is_said_without_the_value),
		cmocka_unit_test(a_free_object_has_a_bound),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(cidrs_and_expressions_are_checked),
		cmocka_unit_test(a_schema_has_what_a_body_may_have),
		cmocka_unit_test(defaults_of_clusters_are_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
