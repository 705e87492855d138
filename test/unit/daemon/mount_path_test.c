/* Names of http/ and https/ <-> URLs. */
#include "daemon/mount_path.h"

#include "base/mem.h"
#include "test/unit/unit.h"

#include <errno.h>
#include <string.h>

static void assert_url(const char *path, const char *want, bool only_file)
{
	cleanup(mount_path_release) struct mount_path p = {0};
	struct err e = {0};

	assert_int_equal(mount_path_parse(path, &p, &e), 0);
	assert_non_null(p.url);
	assert_string_equal(p.url, want);
	assert_int_equal(p.only_file, only_file);
}

static void assert_none(const char *path, int code)
{
	struct mount_path p;
	struct err e = {0};

	assert_int_equal(mount_path_parse(path, &p, &e), -code);
	assert_null(p.url);
}

static void host_alone_is_no_url(void **state)
{
	cleanup(mount_path_release) struct mount_path p = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(mount_path_parse("http/Example.com:8080", &p, &e), 0);
	assert_null(p.url);
	assert_string_equal(p.host, "example.com");
	assert_int_equal(p.port, 8080);
	assert_int_equal(mount_path_parse("https/[::1]", &p, &e), 0);
	assert_string_equal(p.host, "::1");
	assert_int_equal(p.port, 443);
}

static void names_become_the_path(void **state)
{
	(void)state;
	assert_url("http/h/a", "http://h/a", false);
	assert_url("https/h:8443/a/b.tar.gz", "https://h:8443/a/b.tar.gz", false);
}

static void query_is_part_of_the_last_name(void **state)
{
	(void)state;
	assert_url("http/h/a/b?x=1&y=2", "http://h/a/b?x=1&y=2", true);
	assert_url("http/h/b?p=x%2Fy?z", "http://h/b?p=x/y?z", true);
	assert_url("http/h/a?", "http://h/a?", true);
	assert_none("http/h/a?x/b", ENOENT);
}

static void slash_escape_is_a_slash(void **state)
{
	(void)state;
	assert_url("http/h/a%2Fb%2fc", "http://h/a/b/c", true);
	assert_url("http/h/dir%2F", "http://h/dir/", true);
	/* Only the last name says that it is a file. */
	assert_url("http/h/a%2Fb/c", "http://h/a/b/c", false);
}

static void other_escapes_are_the_urls(void **state)
{
	(void)state;
	assert_url("http/h/a%20b%2525", "http://h/a%20b%2525", false);
	assert_url("http/h/100%", "http://h/100%25", false);
	assert_url("http/h/50%zz", "http://h/50%25zz", false);
}

static void bytes_that_a_url_cannot_have_are_escaped(void **state)
{
	(void)state;
	assert_url("http/h/a b#c\"d", "http://h/a%20b%23c%22d", false);
	assert_url("http/h/\xc3\xa4\n", "http://h/%C3%A4%0A", false);
	assert_url("http/h/a[1]", "http://h/a%5B1%5D", false);
}

static void what_is_no_host_is_not_there(void **state)
{
	(void)state;
	assert_none("http/user@h/a", ENOENT);
	assert_none("http/h?x", ENOENT);
	assert_none("http/h%2Fa", ENOENT);
	assert_none("http/h:99999/a", ENOENT);
	assert_none("http//a", ENOENT);
	assert_none("ftp/h/a", ENOENT);
	assert_none("http", ENOENT);
}

static void endless_name_is_too_long(void **state)
{
	cleanup(free_at) char *path = mem_alloc(40000);

	(void)state;
	memset(path, 'a', 39999);
	memcpy(path, "http/h/", 7);
	assert_none(path, ENAMETOOLONG);
}

static void assert_path(const char *url, const char *want)
{
	cleanup(free_at) char *path = mount_path_of_url(url);

	assert_non_null(path);
	assert_string_equal(path, want);
}

static void urls_become_paths(void **state)
{
	(void)state;
	assert_path("http://h/a/b", "http/h/a/b");
	assert_path("https://h:8443/a?x=/y?z", "https/h:8443/a?x=%2Fy?z");
	assert_path("http://h/a%2Fb/c", "http/h/a%2Fb/c");
	assert_path("http://h/dir/", "http/h/dir%2F");
	assert_path("http://h/a//b", "http/h/a%2F%2Fb");
	assert_path("http://h/a/../b", "http/h/a%2F..%2Fb");
	assert_null(mount_path_of_url("s3://bucket/key"));
}

static void names_below_a_directory(void **state)
{
	const char *name;

	(void)state;
	assert_int_equal(mount_path_below("http", "http/h/a", &name), 1);
	assert_memory_equal(name, "h", 1);
	assert_int_equal(mount_path_below("http/h", "http/h/abc", &name), 3);
	assert_memory_equal(name, "abc", 3);
	assert_int_equal(mount_path_below("http/h/abc", "http/h/abc", &name), 0);
	assert_int_equal(mount_path_below("http", "https/h", &name), 0);
	assert_int_equal(mount_path_below("", "https/h", &name), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_alone_is_no_url),
		cmocka_unit_test(names_become_the_path),
		cmocka_unit_test(query_is_part_of_the_last_name),
		cmocka_unit_test(slash_escape_is_a_slash),
		cmocka_unit_test(other_escapes_are_the_urls),
		cmocka_unit_test(bytes_that_a_url_cannot_have_are_escaped),
		cmocka_unit_test(what_is_no_host_is_not_there),
		cmocka_unit_test(endless_name_is_too_long),
		cmocka_unit_test(urls_become_paths),
		cmocka_unit_test(names_below_a_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
