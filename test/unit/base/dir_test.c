/* Directories and those above them. */
#include "base/dir.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

static mode_t mode_of(const char *path)
{
	struct stat st = {0};

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void missing_ones_are_made_and_others_kept(void **state)
{
	char top[] = "/tmp/skimmer-dir-XXXXXX";
	struct err e = {0};

	(void)state;
	assert_non_null(mkdtemp(top));
	cleanup(free_at) char *deep = mem_printf("%s/a/b/c", top);
	cleanup(free_at) char *mid = mem_printf("%s/a/b", top);
	cleanup(free_at) char *first = mem_printf("%s/a", top);
	cleanup(free_at) char *file = mem_printf("%s/a/b/c/file", top);
	assert_int_equal(dir_make_parent(file, 0700, &e), 0);
	assert_int_equal(mode_of(deep), 0700);
	assert_int_equal(mode_of(mid), 0755);
	assert_int_equal(dir_make(deep, 0755, &e), 0);
	assert_int_equal(mode_of(deep), 0700);
	assert_int_equal(dir_make_parent("file", 0700, &e), 0);
	assert_int_equal(dir_make_parent("/file", 0700, &e), 0);
	assert_int_equal(rmdir(deep) + rmdir(mid) + rmdir(first) + rmdir(top), 0);
}

static void a_file_in_the_way_is_told(void **state)
{
	char file[] = "/tmp/skimmer-dir-XXXXXX";
	int fd = mkstemp(file);
	struct err e = {0};

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	cleanup(free_at) char *below = mem_printf("%s/x", file);
	assert_int_equal(dir_make(below, 0755, &e), -ENOTDIR);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_ones_are_made_and_others_kept),
		cmocka_unit_test(a_file_in_the_way_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
