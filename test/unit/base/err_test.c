/* base/err */
#include "test/unit/unit.h"

#include "base/err.h"

#include <errno.h>
#include <string.h>

static void the_systems_words_are_added_where_they_help(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, ENOENT, "open %s", "x"), -ENOENT);
	assert_int_equal(e.code, ENOENT);
	assert_string_equal(e.text, "open x: No such file or directory");
	assert_int_equal(err_set(&e, EPROTO, "garbage"), -EPROTO);
	assert_string_equal(e.text, "garbage");
}

static void nobody_need_listen(void **state)
{
	const struct err e = {.code = EINVAL, .text = "x"};

	(void)state;
	assert_int_equal(err_set(NULL, EIO, "x"), -EIO);
	assert_int_equal(err_copy(NULL, &e), -EINVAL);
}

static void wrapping_puts_what_one_knows_in_front(void **state)
{
	struct err e, copy;

	(void)state;
	err_set(&e, EBADMSG, "wrong digest");
	assert_int_equal(err_wrap(&e, "task %s piece %u", "abc", 7u), -EBADMSG);
	assert_int_equal(e.code, EBADMSG);
	assert_string_equal(e.text, "task abc piece 7: wrong digest");
	assert_int_equal(err_copy(&copy, &e), -EBADMSG);
	assert_string_equal(copy.text, e.text);
}

static void long_texts_are_cut_visibly(void **state)
{
	const size_t last = sizeof(((struct err *)0)->text) - 1;
	char text[300];
	struct err e;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	err_set(&e, EINVAL, "%s", text);
	assert_int_equal(strlen(e.text), last);
	assert_string_equal(e.text + last - 3, "...");
	err_set(&e, ENOENT, "%.220s", text);
	assert_string_equal(e.text + last - 3, "...");
	err_set(&e, EINVAL, "inner");
	err_wrap(&e, "%s", text);
	assert_string_equal(e.text + last - 3, "...");
	err_set(&e, EINVAL, "inner");
	err_wrap(&e, "%.229s", text);
	assert_string_equal(e.text + last - 3, "...");
	/* exactly full is not cut */
	err_set(&e, EINVAL, "%.*s", (int)last, text);
	assert_string_equal(e.text + last - 3, "aaa");
}

static void the_first_who_knows_names_the_fault(void **state)
{
	struct err e, copy;

	(void)state;
	assert_int_equal(err_blame(&e, "SK130", 7), 7);
	assert_int_equal(err_blame(&e, "SK120", err_set(&e, ENOENT, "open /dev/fuse")), -ENOENT);
	assert_int_equal(err_blame(&e, "SK122", err_wrap(&e, "mount")), -ENOENT);
	assert_string_equal(err_fault(&e), "SK120");
	err_copy(&copy, &e);
	assert_string_equal(err_fault(&copy), "SK120");
	/* another error is another fault */
	err_set(&e, EADDRINUSE, "listen");
	assert_string_equal(err_fault(&e), "SK130");
	assert_int_equal(err_blame(NULL, "SK122", -EIO), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_systems_words_are_added_where_they_help),
		cmocka_unit_test(nobody_need_listen),
		cmocka_unit_test(wrapping_puts_what_one_knows_in_front),
		cmocka_unit_test(long_texts_are_cut_visibly),
		cmocka_unit_test(the_first_who_knows_names_the_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
