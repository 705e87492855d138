/* A task's content becomes a file: only where it may, whole or not at all. */
#include "daemon/task_output.h"

#include "base/clock.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "fake_tasks.h"

#define CONTENT_LEN 100000

static char dir[64];
static bool stopping;

static int set_up(void **state)
{
	(void)state;
	fake_init(CONTENT_LEN);
	fake.complete = true;
	stopping = false;
	snprintf(dir, sizeof(dir), "/tmp/skimmer-output-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	cleanup(free_at) char *command = mem_printf("rm -rf %s", dir);

	(void)state;
	fake_release_all();
	return system(command);
}

static int write_to(const char *name, bool hard_link, int64_t ms, struct err *e)
{
	cleanup(free_at) char *path = mem_printf("%s/%s", dir, name);
	const struct task_output o = {.dir = dir,
				      .path = path,
				      .hard_link = hard_link,
				      .deadline_ms = clock_ms() + ms,
				      .stopping = &stopping};

	return task_output_write(&fake.task, &o, e);
}

static void expect_content(const char *name)
{
	cleanup(free_at) char *path = mem_printf("%s/%s", dir, name);
	cleanup(free_at) char *text = mem_alloc(CONTENT_LEN + 1);
	cleanup(fclose_at) FILE *f = fopen(path, "re");

	assert_non_null(f);
	assert_int_equal(fread(text, 1, CONTENT_LEN + 1, f), CONTENT_LEN);
	assert_memory_equal(text, fake.content, CONTENT_LEN);
}

static unsigned entries(void)
{
	cleanup(free_at) char *command = mem_printf("exit $(ls -A %s | wc -l)", dir);

	return (unsigned)WEXITSTATUS(system(command));
}

static void content_is_copied_over_what_is_there(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(write_to("file", false, 30000, &e), 0);
	expect_content("file");
	assert_int_equal(write_to("file", false, 30000, &e), 0);
	assert_int_equal(entries(), 1);
}

static void hard_link_shares_the_file(void **state)
{
	cleanup(free_at) char *store = mem_printf("%s/store", dir);
	struct stat a, b;
	struct err e;

	(void)state;
	close(fake.fd);
	fake.fd = open(store, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write(fake.fd, fake.content, CONTENT_LEN), CONTENT_LEN);
	assert_int_equal(write_to("file", true, 30000, &e), 0);
	expect_content("file");
	assert_int_equal(write_to("file", true, 30000, &e), 0);
	fstat(fake.fd, &a);
	assert_int_equal(a.st_nlink, 2);
	assert_int_equal(write_to("copy", false, 30000, &e), 0);
	fstat(fake.fd, &b);
	assert_int_equal(b.st_nlink, 2);
	assert_int_equal(entries(), 3);
}

static void link_across_disks_is_refused(void **state)
{
	struct err e;

	(void)state; /* the fake's content is in memory */
	assert_true(write_to("file", true, 30000, &e) < 0);
	assert_int_equal(entries(), 0);
}

static void path_outside_is_refused(void **state)
{
	static const char *const bad[] = {"../out", "sub/../../out", "link/out", "..", ".",
					  "",	    "sub/"};
	cleanup(free_at) char *sub = mem_printf("%s/sub", dir);
	cleanup(free_at) char *link = mem_printf("%s/link", dir);
	struct err e;

	(void)state;
	mkdir(sub, 0755);
	assert_int_equal(symlink("/tmp", link), 0);
	for (size_t i = 0; i < array_len(bad); i++)
		if (write_to(bad[i], false, 30000, &e) != -EACCES)
			fail_msg("not refused: %s", bad[i]);
	assert_int_equal(task_output_check(dir, "/etc/passwd", &e), -EACCES);
	assert_int_equal(task_output_check("/data", "/database/x", &e), -EACCES);
	assert_int_equal(task_output_check(NULL, "/data/x", &e), -EACCES);
	assert_int_equal(task_output_check("/", "/x", &e), -EACCES);
	assert_int_equal(task_output_check("/data/", "/data/x", &e), 0);
	assert_int_equal(write_to("sub/file", false, 30000, &e), 0);
	assert_int_equal(write_to("none/file", false, 30000, &e), -ENOENT);
}

static void waiting_ends_by_deadline_stop_and_failure(void **state)
{
	struct err e;

	(void)state;
	fake.complete = false;
	assert_int_equal(write_to("file", false, 50, &e), -ETIMEDOUT);
	stopping = true;
	assert_int_equal(write_to("file", false, 60000, &e), -ECANCELED);
	assert_int_equal(entries(), 0);
}

#define output_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		output_test(content_is_copied_over_what_is_there),
		output_test(hard_link_shares_the_file),
		output_test(link_across_disks_is_refused),
		output_test(path_outside_is_refused),
		output_test(waiting_ends_by_deadline_stop_and_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
