/* base/map */
#include "test/unit/unit.h"

#include "base/cleanup.h"
#include "base/map.h"

#include <string.h>

static void values_are_put_replaced_and_removed(void **state)
{
	cleanup(map_free_at) struct map *m = map_new();
	int a, b;

	(void)state;
	assert_null(map_get(m, "x"));
	assert_null(map_put(m, "x", &a));
	assert_ptr_equal(map_get(m, "x"), &a);
	assert_ptr_equal(map_put(m, "x", &b), &a);
	assert_int_equal(map_count(m), 1);
	assert_ptr_equal(map_remove(m, "x"), &b);
	assert_null(map_remove(m, "x"));
	assert_int_equal(map_count(m), 0);
}

static void keys_are_copied(void **state)
{
	cleanup(map_free_at) struct map *m = map_new();
	char key[] = "key";
	int a;

	(void)state;
	map_put(m, key, &a);
	memcpy(key, "xxx", 3);
	assert_ptr_equal(map_get(m, "key"), &a);
}

/* Against an array that says what must be there. */
static void a_long_life_of_puts_and_removes_keeps_every_value(void **state)
{
	cleanup(map_free_at) struct map *m = map_new();
	static int values[1000];
	static bool present[1000];
	unsigned random = 1, count = 0;

	(void)state;
	for (int step = 0; step < 100000; step++) {
		unsigned i;
		char key[16];

		random = random * 1103515245u + 12345u;
		i = (random >> 8) % 1000;
		snprintf(key, sizeof(key), "k%u", i);
		if (random & (1u << 30)) {
			assert_ptr_equal(map_put(m, key, &values[i]),
					 present[i] ? &values[i] : NULL);
			count += !present[i];
			present[i] = true;
		} else {
			assert_ptr_equal(map_remove(m, key), present[i] ? &values[i] : NULL);
			count -= present[i];
			present[i] = false;
		}
		assert_int_equal(map_count(m), count);
	}
	for (unsigned i = 0; i < 1000; i++) {
		char key[16];

		snprintf(key, sizeof(key), "k%u", i);
		assert_ptr_equal(map_get(m, key), present[i] ? &values[i] : NULL);
	}
}

static void iteration_gives_each_entry_once_and_may_remove_it(void **state)
{
	cleanup(map_free_at) struct map *m = map_new();
	bool seen[200] = {false};
	const char *key;
	size_t at = 0;
	void *value;

	(void)state;
	for (int i = 0; i < 200; i++) {
		char text[16];

		snprintf(text, sizeof(text), "%d", i);
		map_put(m, text, &seen[i]);
	}
	while (map_next(m, &at, &key, &value)) {
		bool *flag = value;

		assert_ptr_equal(flag, &seen[atoi(key)]);
		assert_false(*flag);
		*flag = true;
		if ((flag - seen) % 2)
			assert_ptr_equal(map_remove(m, key), flag);
	}
	for (int i = 0; i < 200; i++)
		assert_true(seen[i]);
	assert_int_equal(map_count(m), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_put_replaced_and_removed),
		cmocka_unit_test(keys_are_copied),
		cmocka_unit_test(a_long_life_of_puts_and_removes_keeps_every_value),
		cmocka_unit_test(iteration_gives_each_entry_once_and_may_remove_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
