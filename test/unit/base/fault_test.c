#include "base/fault.h"

#include "base/cli.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void every_fault_says_what_it_is_what_it_does_and_what_helps(void **state)
{
	const char *last = "";

	(void)state;
	for (const struct fault *f = faults; f->code; f++) {
		assert_int_equal(strlen(f->code), 5);
		assert_true(strcmp(last, f->code) < 0);
		last = f->code;
		assert_true(f->name[0] && f->cause[0] && f->effect[0] && f->fix[0]);
		assert_ptr_equal(fault_find(f->code), f);
	}
	assert_null(fault_find("SK999"));
}

static void every_errno_and_exit_code_leads_to_one(void **state)
{
	(void)state;
	for (int code = 1; code < 200; code++) {
		struct err e;

		err_set(&e, code, "x");
		assert_non_null(fault_find(err_fault(&e)));
		assert_non_null(fault_find(fault_of_exit(code)));
	}
	assert_string_equal(fault_of_exit(EXIT_NO_DAEMON), "SK200");
	assert_string_equal(fault_of_exit(128 + 15), "SK159");
	assert_string_equal(fault_of_exit(EXIT_OTHER), "SK199");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_fault_says_what_it_is_what_it_does_and_what_helps),
		cmocka_unit_test(every_errno_and_exit_code_leads_to_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
