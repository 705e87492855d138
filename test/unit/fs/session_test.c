/* The life of a session: its mount point, and its end in every way. */
#include "fs/session.h"

#include "test/unit/fs/world.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

static const char *self;

static bool is_mounted(void)
{
	struct statx x;

	assert_int_equal(statx(AT_FDCWD, mount_path, AT_STATX_DONT_SYNC, STATX_TYPE, &x), 0);
	return (x.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

static void end_leaves_nothing_mounted(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 1}};
	struct world w;

	(void)state;
	world_start(&w, files, 1, NULL);
	assert_true(is_mounted());
	assert_false(fs_session_ended(w.s));
	world_stop(&w);
	assert_false(is_mounted());
}

static void umount_from_outside_ends_the_session(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = MIB}};
	struct world w;
	int fd;

	(void)state;
	world_start(&w, files, 1, NULL);
	fd = open_ok("f");
	assert_read(fd, 0, 100);
	close(fd);
	wait_until(umount2(mount_path, 0) == 0); /* RELEASE may still be on its way */
	wait_until(fs_session_ended(w.s));
	world_stop(&w);
	assert_false(is_mounted());
}

static void living_mount_is_busy(void **state)
{
	struct fs_config c = config_default();
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 1}};
	struct fs_session *other = NULL;
	struct err e = {0};
	struct stat st;
	struct world w;

	(void)state;
	world_start(&w, files, 1, NULL);
	assert_int_equal(fs_session_new(&c, &fake_ops, &w.f, &other, &e), -EBUSY);
	assert_non_null(strstr(e.text, mount_path));
	assert_int_equal(stat_in("f", &st), 0);
	world_stop(&w);
}

static void mount_of_a_killed_daemon_is_replaced(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 1}};
	struct world w;
	struct stat st;
	int status;
	pid_t pid;

	(void)state;
	if (missing)
		skip();
	for (int i = 0; i < 2; i++) {
		pid = fork();
		if (pid == 0) {
			execl(self, self, "--mount", mount_path, NULL);
			_exit(127);
		}
		wait_until(is_mounted() && stat_in("f", &st) == 0);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(stat_in("g", &st), -1);
		assert_int_equal(errno, ENOTCONN);
	}
	world_start(&w, files, 1, NULL);
	assert_int_equal(stat_in("f", &st), 0);
	world_stop(&w);
	assert_false(is_mounted());
}

static void missing_mount_point_is_made(void **state)
{
	cleanup(free_at) char *deep = mem_printf("%s/a/b/c", dir);
	struct fs_config c = config_default();
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 1}};
	struct err e = {0};
	struct world w;

	(void)state;
	c.path = deep;
	world_start(&w, files, 1, &c);
	world_stop(&w);
	c.path = "/proc/no/such/place";
	assert_true(fs_session_new(&c, &fake_ops, &w.f, &w.s, &e) < 0);
	assert_non_null(strstr(e.text, "/proc/no"));
}

/* What the stale-mount test runs in a process of its own, to be killed. */
static int mount_and_wait(const char *path)
{
	static struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 1}};
	struct fs_config c = {.path = path, .read_timeout_ms = 1000, .allow_other = true};
	struct fake_source f;
	struct fs_session *s;
	struct err e = {0};

	timer_start();
	fake_source_init(&f, "/tmp", files, 1);
	if (fs_session_new(&c, &fake_ops, &f, &s, &e) < 0)
		return 1;
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(end_leaves_nothing_mounted),
		cmocka_unit_test(umount_from_outside_ends_the_session),
		cmocka_unit_test(living_mount_is_busy),
		cmocka_unit_test(mount_of_a_killed_daemon_is_replaced),
		cmocka_unit_test(missing_mount_point_is_made),
	};

	if (argc == 3 && strcmp(argv[1], "--mount") == 0)
		return mount_and_wait(argv[2]);
	self = argv[0];
	return cmocka_run_group_tests(tests, prepare, clean_up);
}
