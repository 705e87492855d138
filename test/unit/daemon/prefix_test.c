/* daemon/prefix: the sha256 of what is here so far */
#include "daemon/prefix.h"

#include "test/unit/unit.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PIECE  (300u << 10)
#define LENGTH (2 * PIECE + 77)

static unsigned char content[LENGTH];
static struct geometry g;

static int file_of_content(void)
{
	int fd = memfd_create("content", MFD_CLOEXEC);

	for (size_t i = 0; i < LENGTH; i++)
		content[i] = (unsigned char)(i * 31 + i / 1000);
	assert_int_equal(write(fd, content, LENGTH), LENGTH);
	assert_true(geometry_init(&g, LENGTH, PIECE));
	return fd;
}

static void the_digest_is_that_of_the_whole(void **state)
{
	int fd = file_of_content();
	struct prefix *p = prefix_new(fd, &g);
	char hex[65], want[65];
	struct err e = {0};

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(prefix_next(p), i);
		assert_int_equal(prefix_add(p, &e), 0);
	}
	assert_true(prefix_finish(p, hex));
	sha256_hex(content, LENGTH, want);
	assert_string_equal(hex, want);
	assert_int_equal(prefix_next(p), 0);
	prefix_free(p);
	close(fd);
}

static void a_part_has_no_digest_and_it_begins_anew(void **state)
{
	int fd = file_of_content();
	struct prefix *p = prefix_new(fd, &g);
	char hex[65];
	struct err e = {0};

	(void)state;
	assert_false(prefix_finish(p, hex));
	assert_int_equal(prefix_add(p, &e), 0);
	assert_int_equal(prefix_add(p, &e), 0);
	assert_false(prefix_finish(p, hex));
	assert_int_equal(prefix_next(p), 0);
	prefix_free(p);
	close(fd);
}

static void what_cannot_be_read_is_given_up(void **state)
{
	int fd = file_of_content();
	struct prefix *p = prefix_new(fd, &g);
	char hex[65];
	struct err e = {0};

	(void)state;
	assert_int_equal(ftruncate(fd, PIECE + 5), 0);
	assert_int_equal(prefix_add(p, &e), 0);
	assert_int_equal(prefix_add(p, &e), -EIO);
	prefix_give_up(p);
	assert_int_equal(prefix_next(p), 3);
	assert_false(prefix_finish(p, hex));
	prefix_free(p);
	prefix_free(NULL);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_digest_is_that_of_the_whole),
		cmocka_unit_test(a_part_has_no_digest_and_it_begins_anew),
		cmocka_unit_test(what_cannot_be_read_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
