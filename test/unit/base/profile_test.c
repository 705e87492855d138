/* Profiles are gzip'd protobuf, threads are listed by name. What is in them: 57_profiles.py. */
#include "base/profile.h"

#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>

#include <cmocka.h>

static bool is_gzip(const struct buf *b)
{
	return b->len > 18 && memcmp(b->data, "\x1f\x8b", 2) == 0;
}

static void one_profile_is_taken_at_a_time(void **state)
{
	struct buf out = {0};
	struct err e = {0};
	volatile uint64_t busy = 0;
	int64_t until;

	(void)state;
	assert_int_equal(profile_cpu_start(&e), 0);
	assert_int_equal(profile_cpu_start(&e), -EBUSY);
	until = clock_ms() + 200;
	while (clock_ms() < until)
		busy++;
	profile_cpu_stop(&out);
	assert_true(is_gzip(&out));
	buf_clear(&out);
	assert_int_equal(profile_cpu_start(&e), 0);
	profile_cpu_stop(&out);
	assert_true(is_gzip(&out));
	buf_release(&out);
}

static void the_heap_is_summed_up(void **state)
{
	struct buf out = {0};

	(void)state;
	profile_heap(&out);
	assert_true(is_gzip(&out));
	buf_release(&out);
}

static void threads_are_listed(void **state)
{
	struct buf out = {0};

	(void)state;
	prctl(PR_SET_NAME, "find-me");
	profile_threads(&out);
	assert_non_null(strstr(out.data, " find-me "));
	buf_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_profile_is_taken_at_a_time),
		cmocka_unit_test(the_heap_is_summed_up),
		cmocka_unit_test(threads_are_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
