/* Figures are counted and printed as Prometheus reads them. */
#include "base/metrics.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct metric_family plain = {METRIC_COUNTER, "t_plain_total", "Plain.", NULL};
static const struct metric_family labelled = {METRIC_GAUGE, "t_labelled", "Labelled.", "type,tag"};
static const struct metric_family many = {METRIC_COUNTER, "t_many_total", "Many.", "n"};

static void series_are_printed_with_help_and_type(void **state)
{
	struct buf out = {0};

	(void)state;
	metric_add(metric_get(&plain), 3);
	metric_add(metric_get(&plain), 4);
	metric_set(metric_get(&labelled, "a", "say \"hi\"\\\n"), -5);
	metric_set(metric_get(&labelled, "b", NULL), 6);
	metrics_print(&out);
	assert_non_null(strstr(out.data,
			       "# HELP t_plain_total Plain.\n# TYPE t_plain_total counter\n"
			       "t_plain_total 7\n"));
	assert_non_null(strstr(out.data, "# TYPE t_labelled gauge\n"
					 "t_labelled{type=\"a\",tag=\"say \\\"hi\\\"\\\\\\n\"} -5\n"
					 "t_labelled{type=\"b\",tag=\"\"} 6\n"));
	buf_release(&out);
}

static void times_are_printed_in_buckets(void **state)
{
	static const struct metric_family ms = {METRIC_MILLISECONDS, "t_ms", "Ms.", "n"};
	static const struct metric_family s = {METRIC_SECONDS, "t_seconds", "S.", NULL};
	static const struct metric_family sum = {METRIC_SUMMARY, "t_sum", "Sum.", NULL};
	struct buf out = {0};

	(void)state;
	metric_observe(metric_get(&ms, "x"), 1);
	metric_observe(metric_get(&ms, "x"), 3);
	metric_observe(metric_get(&ms, "x"), UINT64_C(1) << 40);
	metric_observe(metric_get(&s), 64);
	metric_observe(metric_get(&s), 1500000);
	metric_observe(metric_get(&sum), 7);
	metrics_print(&out);
	assert_non_null(strstr(out.data, "# TYPE t_ms histogram\n"
					 "t_ms_bucket{n=\"x\",le=\"1\"} 1\n"
					 "t_ms_bucket{n=\"x\",le=\"2\"} 1\n"
					 "t_ms_bucket{n=\"x\",le=\"4\"} 2\n"));
	assert_non_null(strstr(out.data, "t_ms_bucket{n=\"x\",le=\"8388608\"} 2\n"
					 "t_ms_bucket{n=\"x\",le=\"+Inf\"} 3\n"
					 "t_ms_sum{n=\"x\"} 1099511627780\n"
					 "t_ms_count{n=\"x\"} 3\n"));
	assert_non_null(strstr(out.data, "t_seconds_bucket{le=\"6.4e-05\"} 1\n"));
	assert_non_null(strstr(out.data, "t_seconds_bucket{le=\"1.048576\"} 1\n"
					 "t_seconds_bucket{le=\"2.097152\"} 2\n"));
	assert_non_null(strstr(out.data, "t_seconds_sum 1.500064\nt_seconds_count 2\n"));
	assert_non_null(strstr(out.data, "# TYPE t_sum summary\nt_sum_sum 7\nt_sum_count 1\n"));
	buf_clear(&out);
	metrics_reset();
	metrics_print(&out);
	assert_non_null(strstr(out.data, "t_ms_bucket{n=\"x\",le=\"+Inf\"} 0\n"));
	buf_release(&out);
}

static void too_many_series_are_counted_as_other(void **state)
{
	struct buf out = {0};

	(void)state;
	for (int i = 0; i < METRIC_SERIES_MAX + 10; i++) {
		cleanup(free_at) char *value = mem_printf("%d", i);

		metric_add(metric_get(&many, value), 1);
	}
	assert_int_equal(metric_value(metric_get(&many, "other")), 10);
	assert_int_equal(metric_value(metric_get(&many, "0")), 1);
	buf_release(&out);
}

static void set_figure(void *arg)
{
	metric_set(arg, 42);
}

static void hooks_run_before_printing(void **state)
{
	struct metric *m = metric_get(&labelled, "hook", "");
	struct buf out = {0};

	(void)state;
	metrics_on_print(set_figure, m);
	metrics_print(&out);
	assert_int_equal(metric_value(m), 42);
	metrics_on_print_remove(set_figure, m);
	metric_set(m, 1);
	metrics_print(&out);
	assert_int_equal(metric_value(m), 1);
	buf_release(&out);
}

static void reset_zeroes_counters_only(void **state)
{
	(void)state;
	metric_add(metric_get(&plain), 3);
	metric_set(metric_get(&labelled, "keep", ""), 9);
	metrics_reset();
	assert_int_equal(metric_value(metric_get(&plain)), 0);
	assert_int_equal(metric_value(metric_get(&labelled, "keep", "")), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(series_are_printed_with_help_and_type),
		cmocka_unit_test(times_are_printed_in_buckets),
		cmocka_unit_test(too_many_series_are_counted_as_other),
		cmocka_unit_test(hooks_run_before_printing),
		cmocka_unit_test(reset_zeroes_counters_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
