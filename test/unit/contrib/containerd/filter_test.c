/* containerd's filters: fields, operators, quoting, what is refused. */
#include "contrib/containerd/filter.h"

#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct snapshot sample(void)
{
	struct snapshot s = {.name = mem_strdup("k8s.io/42/sha256:abc"),
			     .parent = mem_strdup("k8s.io/39/sha256:def"),
			     .kind = SNAPSHOT_COMMITTED};

	labels_set(&s.labels, "containerd.io/snapshot.ref", "sha256:abc");
	labels_set(&s.labels, "plain", "with \"quotes\"");
	labels_set(&s.labels, "a.b", "dotted");
	return s;
}

static bool fits_any(const char *const *texts, size_t count)
{
	struct snapshot s = sample();
	struct filter *f = NULL;
	struct err e = {0};
	bool fits;

	if (filter_parse(texts, count, &f, &e) < 0)
		fail_msg("%s: %s", texts[0], e.text);
	fits = filter_fits(f, &s);
	filter_free(f);
	snapshot_release(&s);
	return fits;
}

static bool fits(const char *text)
{
	return fits_any(&text, 1);
}

static void what_containerd_asks_after_a_lazy_hit_fits(void **state)
{
	(void)state;
	assert_true(fits("labels.\"containerd.io/snapshot.ref\"==sha256:abc,"
			 "parent==\"k8s.io/39/sha256:def\""));
	assert_false(fits("labels.\"containerd.io/snapshot.ref\"==sha256:abc,parent==\"\""));
}

static void each_field_and_operator_is_known(void **state)
{
	(void)state;
	assert_true(fits("kind==committed"));
	assert_false(fits("kind==active"));
	assert_true(fits("kind!=view"));
	assert_true(fits("name~=^k8s[.]io/"));
	assert_false(fits("name~=^moby/"));
	assert_true(fits("name~=|io/4[0-9]/|"));
	assert_true(fits("name~=/io\\/42/"));
	assert_true(fits("parent"));
	assert_true(fits("labels.plain"));
	assert_false(fits("labels.nothing"));
	assert_false(fits("labels.nothing==x"));
	assert_true(fits("labels.nothing!=x"));
	assert_true(fits("labels.a.b==dotted"));
	assert_true(fits("labels.\"a.b\"==\"dotted\""));
	assert_true(fits("labels.plain==\"with \\\"quotes\\\"\""));
	assert_true(fits("labels.\"a\\x2eb\"==\"d\\u006ftted\""));
	assert_false(fits("unknown==x"));
}

static void any_of_several_texts_is_enough(void **state)
{
	const char *const texts[] = {"kind==active", "name~=zzz,kind==committed", "parent~=39"};

	(void)state;
	assert_true(fits_any(texts, 3));
	assert_false(fits_any(texts, 2));
	assert_true(fits_any(NULL, 0));
	assert_true(fits(""));
}

static const char *parent_of(const char *const *texts, size_t count)
{
	static char parent[64];
	struct filter *f = NULL;
	struct err e = {0};
	const char *found;

	if (filter_parse(texts, count, &f, &e) < 0)
		fail_msg("%s: %s", texts[0], e.text);
	found = filter_parent(f);
	snprintf(parent, sizeof(parent), "%s", found ? found : "any");
	filter_free(f);
	return parent;
}

static void the_parent_is_told_when_all_that_fits_has_it(void **state)
{
	static const char *const one[] = {"kind==committed,parent==\"k/1/b\""};
	static const char *const none[] = {"parent==\"\""};
	static const char *const other[] = {"parent!=a", "parent~=a", "parent", "labels.parent==a",
					    ""};
	static const char *const two[] = {"parent==a", "kind==view"};

	(void)state;
	assert_string_equal(parent_of(one, 1), "k/1/b");
	assert_string_equal(parent_of(none, 1), "");
	for (size_t i = 0; i < array_len(other); i++)
		assert_string_equal(parent_of(&other[i], 1), "any");
	assert_string_equal(parent_of(two, 2), "any");
	assert_string_equal(parent_of(NULL, 0), "any");
}

static void broken_filters_are_refused_with_the_place(void **state)
{
	static const char *const broken[] = {
		"==x",
		"name=x",
		"name==x y",
		"labels.",
		"labels.\"x",
		"name,",
		"name~=(",
		"name==\"x",
		"labels.\"\\q\"",
		"labels.\"\\x4\"",
		"name~=|x",
		"labels.\"\\U00ffffff\"",
	};

	(void)state;
	for (size_t i = 0; i < array_len(broken); i++) {
		struct filter *f = NULL;
		struct err e = {0};

		if (filter_parse(&broken[i], 1, &f, &e) != -EINVAL)
			fail_msg("%s is accepted", broken[i]);
		assert_non_null(strstr(e.text, "at byte"));
	}
}

static void a_filter_without_end_is_refused(void **state)
{
	cleanup(free_at) char *text = mem_alloc(20001);
	const char *one = text;
	struct filter *f = NULL;

	(void)state;
	memset(text, 'x', 20000);
	assert_int_equal(filter_parse(&one, 1, &f, NULL), -EINVAL);
	for (size_t i = 1; i < 10000; i += 2)
		text[i] = ',';
	text[10000] = '\0';
	assert_int_equal(filter_parse(&one, 1, &f, NULL), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_containerd_asks_after_a_lazy_hit_fits),
		cmocka_unit_test(each_field_and_operator_is_known),
		cmocka_unit_test(any_of_several_texts_is_enough),
		cmocka_unit_test(the_parent_is_told_when_all_that_fits_has_it),
		cmocka_unit_test(broken_filters_are_refused_with_the_place),
		cmocka_unit_test(a_filter_without_end_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
