/* What a name of http/ is, as its origin says. */
#include "test/unit/daemon/tree_fixture.h"

#include "base/timer.h"

static void host_is_a_directory_without_asking(void **state)
{
	struct tree_world *w = *state;

	assert_true(is_dir(w, "http", "example.invalid"));
	assert_true(is_dir(w, "https", "example.invalid:8443"));
	assert_int_equal(code_of(w, "http", "user@host"), ENOENT);
	assert_int_equal(fake_count(w->server), 0);
}

static void answers_decide_what_a_name_is(void **state)
{
	struct tree_world *w = *state;

	assert_false(is_dir(w, w->host_dir, "small"));
	assert_false(is_dir(w, w->host_dir, "empty"));
	assert_true(is_dir(w, w->host_dir, "dir"));
	assert_false(is_dir(w, w->host_dir, "dir/small"));
	assert_true(is_dir(w, w->host_dir, "slash"));
	assert_true(is_dir(w, w->host_dir, "secret"));
	assert_true(is_dir(w, w->host_dir, "method"));
	assert_int_equal(code_of(w, w->host_dir, "absent"), ENOENT);
}

static void directory_is_remembered(void **state)
{
	struct tree_world *w = *state;
	unsigned count;

	assert_true(is_dir(w, w->host_dir, "dir"));
	count = fake_count(w->server);
	assert_true(is_dir(w, w->host_dir, "dir"));
	assert_int_equal(fake_count(w->server), count);
}

static void file_that_is_here_needs_no_origin(void **state)
{
	struct tree_world *w = *state;
	struct fs_blob *blob = open_file(w, w->host_dir, "small", 1000);

	assert_ok(read_blob(w, blob, 0, 1000));
	close_file(w, blob);
	__atomic_store_n(&planted.down, true, __ATOMIC_RELAXED);
	blobs_stop(w);
	blobs_start(w, NULL);
	blob = open_file(w, w->host_dir, "small", 1000);
	assert_ok(read_blob(w, blob, 0, 1000));
	close_file(w, blob);
}

static void any_path_fits_into_one_name(void **state)
{
	struct tree_world *w = *state;

	assert_false(is_dir(w, w->host_dir, "dir%2Fsmall"));
	assert_true(fake_saw(w->server, "GET /dir/small "));
	assert_false(is_dir(w, w->host_dir, "query?a=%2Fb"));
	assert_true(fake_saw(w->server, "GET /query?a=/b "));
}

static void name_that_must_be_a_file_is_no_directory(void **state)
{
	struct tree_world *w = *state;

	assert_int_equal(code_of(w, w->host_dir, "secret?x"), EACCES);
	assert_int_equal(code_of(w, w->host_dir, "a%2Fb"), ENOENT);
	assert_int_equal(code_of(w, w->host_dir, "small?x/y"), ENOENT);
}

static void origin_that_does_not_answer_is_an_error(void **state)
{
	struct tree_world *w = *state;

	__atomic_store_n(&planted.down, true, __ATOMIC_RELAXED);
	assert_int_equal(code_of(w, w->host_dir, "small"), EHOSTUNREACH);
	assert_int_equal(code_of(w, "http/127.0.0.1:1", "x"), EHOSTUNREACH);
}

static void way_to_what_is_here_stays_open_without_the_origin(void **state)
{
	struct tree_world *w = *state;
	struct fs_blob *blob = open_file(w, w->host_dir, "dir/small", 1000);

	assert_ok(read_blob(w, blob, 0, 1000));
	close_file(w, blob);
	__atomic_store_n(&planted.down, true, __ATOMIC_RELAXED);
	assert_true(is_dir(w, w->host_dir, "dir"));
	blob = open_file(w, w->host_dir, "dir/small", 1000);
	close_file(w, blob);
}

static void what_is_here_is_listed(void **state)
{
	struct tree_world *w = *state;
	cleanup(free_at) char *dir = mem_printf("%s/dir", w->host_dir);
	cleanup(free_at) char *host = mem_printf("%s/ ", w->host_dir + strlen("http/"));
	cleanup(buf_release) struct buf names = BUF_INIT(0);

	assert_false(is_dir(w, w->host_dir, "small"));
	assert_false(is_dir(w, w->host_dir, "dir/small"));
	assert_false(is_dir(w, w->host_dir, "query?a=%2Fb"));
	assert_list(w, "http", host);
	assert_list(w, "https", "");
	assert_list(w, dir, "small ");
	blobs_ops.list(w->b, w->host_dir, add_name, &names);
	assert_non_null(strstr(names.data, "small "));
	assert_non_null(strstr(names.data, "dir/ "));
	assert_non_null(strstr(names.data, "query?a=%2Fb "));
}

static void hosts_can_be_refused(void **state)
{
	struct tree_world *w = *state;
	char local[] = "127.0.0.1", pattern[] = "*.example.org", with_port[] = "cdn:8080";
	char *items[] = {local, pattern, with_port};
	const struct config_strings allow = {.items = items, .count = 3};

	assert_int_equal(code_of(w, "http", "169.254.169.254"), EACCES);
	assert_int_equal(code_of(w, "http/169.254.169.254", "latest"), EACCES);
	assert_int_equal(code_of(w, "https", "[fe80::1]"), EACCES);
	blobs_stop(w);
	blobs_start(w, &allow);
	assert_int_equal(code_of(w, "http", "example.com"), EACCES);
	assert_int_equal(code_of(w, "oci", "example.com"), EACCES);
	assert_true(is_dir(w, "http", "a.Example.ORG"));
	assert_true(is_dir(w, "http", "cdn:8080"));
	assert_int_equal(code_of(w, "http", "cdn"), EACCES);
	assert_false(is_dir(w, w->host_dir, "small"));
}

#define tree_case(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		tree_case(host_is_a_directory_without_asking),
		tree_case(answers_decide_what_a_name_is),
		tree_case(directory_is_remembered),
		tree_case(file_that_is_here_needs_no_origin),
		tree_case(any_path_fits_into_one_name),
		tree_case(name_that_must_be_a_file_is_no_directory),
		tree_case(origin_that_does_not_answer_is_an_error),
		tree_case(way_to_what_is_here_stays_open_without_the_origin),
		tree_case(what_is_here_is_listed),
		tree_case(hosts_can_be_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
