/* base/nearest */
#include "test/unit/unit.h"

#include "base/cleanup.h"
#include "base/nearest.h"

#include <string.h>

static const char *nearest_of(const char *wanted)
{
	static const char *const words[] = {"storage.dir", "storage.keep", "json", "output", "O"};
	struct nearest n;

	nearest_init(&n, wanted);
	for (size_t i = 0; i < array_len(words); i++)
		nearest_offer(&n, words[i], strlen(words[i]));
	return n.word;
}

static void slips_of_the_finger_find_their_word(void **state)
{
	(void)state;
	assert_string_equal(nearest_of("stoarge.dir"), "storage.dir");
	assert_string_equal(nearest_of("storage.kep"), "storage.keep");
	assert_string_equal(nearest_of("JSON"), "json");
	assert_string_equal(nearest_of("jsno"), "json");
	assert_string_equal(nearest_of("outputt"), "output");
}

static void strangers_find_none(void **state)
{
	char longest[200];

	(void)state;
	assert_null(nearest_of("completely"));
	assert_null(nearest_of("xx"));
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	assert_null(nearest_of(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slips_of_the_finger_find_their_word),
		cmocka_unit_test(strangers_find_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
