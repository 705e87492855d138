/* base/units: what people write in configuration files. */
#include "test/unit/unit.h"

#include "base/cleanup.h"
#include "base/units.h"

static void bytes_are_parsed(void **state)
{
	static const struct {
		const char *text;
		uint64_t want;
	} cases[] = {
		{"0", 0},
		{"512", 512},
		{"50GB", UINT64_C(50000000000)},
		{"8MiB", 8u << 20},
		{"64Mi", 64u << 20},
		{"1.5gib", 3u << 29},
		{" 10 kb ", 10000},
		{"1k", 1000},
		{"1Ki", 1024},
		{"2TiB", UINT64_C(2) << 40},
		{"0.5PB", UINT64_C(500000000000000)},
		{"18446744073709551615", UINT64_MAX},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		uint64_t got = 1;

		assert_true(units_parse_bytes(cases[i].text, &got));
		assert_int_equal(got, cases[i].want);
	}
}

static void wrong_bytes_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"GB",
		"-1",
		"1.",
		".5",
		"1..5",
		"1e3",
		"0x10",
		"10 XB",
		"inf",
		"1 2",
		"1GBs",
		"10,5",
		"1.0000000001GB",
		"18446744073709551616",
		"20000PiB",
	};
	uint64_t got;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		assert_false(units_parse_bytes(cases[i], &got));
}

static void durations_are_parsed(void **state)
{
	static const struct {
		const char *text;
		int64_t want;
	} cases[] = {
		{"360s", 360000},   {"5m", 300000},    {"1h30m", 5400000},  {"30d", 2592000000},
		{"500ms", 500},	    {"1.5h", 5400000}, {"1h 30m", 5400000}, {"0s", 0},
		{"2w", 1209600000}, {"1500us", 1},     {"5 min", 300000},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		int64_t got = -1;

		assert_true(units_parse_duration_ms(cases[i].text, &got));
		assert_int_equal(got, cases[i].want);
	}
}

static void wrong_durations_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"5",
		"0",
		"s",
		"-5s",
		"5x",
		"5M",
		"1h30",
		"h1",
		"99999999999999w",
		"9223372036854775808ms",
	};
	int64_t got;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++)
		assert_false(units_parse_duration_ms(cases[i], &got));
}

static void bytes_are_printed(void **state)
{
	static const struct {
		uint64_t n;
		const char *want;
	} cases[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{(1 << 20) - 1, "1.0 MiB"},
		{1288490189, "1.2 GiB"},
		{UINT64_MAX, "16.0 EiB"},
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		units_print_bytes(cases[i].n, text, sizeof(text));
		assert_string_equal(text, cases[i].want);
	}
}

static void durations_are_printed(void **state)
{
	static const struct {
		int64_t ms;
		const char *want;
	} cases[] = {
		{0, "0 ms"},	       {37, "37 ms"},	     {1470, "1.47 s"},
		{59999, "1 m 00 s"},   {123000, "2 m 03 s"}, {3600000, "1 h 00 m"},
		{5400000, "1 h 30 m"},
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		units_print_ms(cases[i].ms, text, sizeof(text));
		assert_string_equal(text, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_are_parsed),
		cmocka_unit_test(wrong_bytes_are_refused),
		cmocka_unit_test(durations_are_parsed),
		cmocka_unit_test(wrong_durations_are_refused),
		cmocka_unit_test(bytes_are_printed),
		cmocka_unit_test(durations_are_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
