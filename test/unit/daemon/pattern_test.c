/* Patterns as people write them for Dragonfly, and what would silently mean something else. */
#include "daemon/pattern.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void patterns_match_as_written(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} cases[] = {
		{"blobs/sha256.*", "https://r/v2/a/blobs/sha256:00", true},
		{"blobs/sha256.*", "https://r/v2/a/manifests/sha256:00", false},
		{"", "anything", true},
		{"^https?://", "http://x", true},
		{"^https?://", "ftp://http://", false},
		{"\\.(tar|zip)$", "a.zip", true},
		{"\\.(tar|zip)$", "azip", false},
		{"(?i)MODEL", "a/model", true},
		{"(?:ab)+c", "ababc", true},
		{"v\\d+\\.\\d+", "v1.20", true},
		{"^\\D+$", "abc", true},
		{"^\\D+$", "ab1", false},
		{"a.*?b", "axxb", true},
		{"a{2}?b", "aab", true},
		{"a??b", "b", true},
		{"[]a]b", "]b", true},
		{"[^/]+/x", "y/x", true},
		{"\\w+\\s", "ab c", true},
		{"a\\?b", "a?b", true},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct pattern *p;
		struct err e;

		if (pattern_new(cases[i].pattern, &p, &e) < 0)
			fail_msg("%s: %s", cases[i].pattern, e.text);
		if (pattern_matches(p, cases[i].text) != cases[i].matches)
			fail_msg("%s against %s", cases[i].pattern, cases[i].text);
		pattern_free(p);
	}
}

static void what_is_not_understood_is_refused(void **state)
{
	static const char *const bad[] = {"(?=x)a", "(?<n>a)", "(?i:a)", "\\p{L}", "\\1",
					  "\\x41",  "[\\d]",   "[abc",	 "(a",	   "a\\"};

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++) {
		struct pattern *p;
		struct err e;

		if (pattern_new(bad[i], &p, &e) != -EINVAL)
			fail_msg("not refused: %s", bad[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_written),
		cmocka_unit_test(what_is_not_understood_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
