/* contrib/dfctl: the table of faults and what is made of it. */
#include "test/unit/unit.h"

#include "base/json.h"
#include "base/mem.h"
#include "contrib/dfctl/finding.h"

#include <string.h>

static void every_fault_has_a_code_of_its_own_and_all_its_texts(void **state)
{
	const char *last = "SK000";

	(void)state;
	for (const struct fault *f = faults; f->code; f++) {
		assert_int_equal(strlen(f->code), 5);
		assert_true(strcmp(last, f->code) < 0); /* in order, so none twice */
		last = f->code;
		assert_ptr_equal(fault_find(f->code), f);
		assert_true(*f->name && *f->cause && *f->effect && *f->fix);
		/* Names stand in sentences, the others are ones. */
		assert_int_not_equal(f->name[strlen(f->name) - 1], '.');
		assert_int_equal(f->cause[strlen(f->cause) - 1], '.');
		assert_int_equal(f->effect[strlen(f->effect) - 1], '.');
		assert_int_equal(f->fix[strlen(f->fix) - 1], '.');
	}
	assert_null(fault_find("SK999"));
}

static void errors_come_first_and_bring_their_fix(void **state)
{
	struct findings fs = {0};
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	findings_good(&fs, "disk", "%d bytes are free", 7);
	findings_add(&fs, FINDING_WARNING, "clock", "SK102", mem_strdup("it drifts"), NULL);
	findings_add(&fs, FINDING_ERROR, "ports", "SK130", mem_strdup("4001 is nc's"),
		     mem_strdup("kill 1"));
	findings_print(&fs, false, f);
	fclose(f);
	assert_true(strncmp(text, "error   ports     SK130", 23) == 0);
	assert_non_null(strstr(text, "fix: kill 1\n"));
	assert_non_null(strstr(text, fault_find("SK102")->fix));
	assert_null(strstr(text, "bytes are free"));
	assert_int_equal(findings_count(&fs, FINDING_ERROR), 1);
	free(text);
	findings_release(&fs);
}

static void json_has_cause_effect_and_fix_of_what_is_wrong(void **state)
{
	struct findings fs = {0};
	json_t *list;

	(void)state;
	findings_add(&fs, FINDING_ERROR, "disk", "SK110", mem_strdup("0 B"), NULL);
	findings_good(&fs, "ports", "free");
	list = findings_json(&fs);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_str(json_array_get(list, 0), "code"), "SK110");
	assert_string_equal(json_str(json_array_get(list, 0), "fix"), fault_find("SK110")->fix);
	assert_string_equal(json_str(json_array_get(list, 0), "level"), "error");
	assert_null(json_str(json_array_get(list, 1), "code"));
	json_decref(list);
	findings_release(&fs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_has_a_code_of_its_own_and_all_its_texts),
		cmocka_unit_test(errors_come_first_and_bring_their_fix),
		cmocka_unit_test(json_has_cause_effect_and_fix_of_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
