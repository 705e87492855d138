/* Which opens the kernel reads by itself, and that none of them leaves anything behind. */
#include "fs/open.h"

#include "test/unit/fs/world.h"

#include <dirent.h>
#include <sys/file.h>

static void complete_blob_is_read_by_the_kernel_itself(void **state)
{
	struct fs_blob files[] = {
		{.name = "f", .kind = FS_FILE, .size = 3 * MIB + 7, .complete = true}};
	struct world w;
	int one, two;

	(void)state;
	world_start(&w, files, 1, NULL);
	if (!fs_session_passthrough(w.s)) {
		world_stop(&w);
		skip();
	}
	one = open_ok("f");
	two = open_ok("f");
	assert_read(one, 0, files[0].size);
	assert_read(two, MIB - 3, MIB);
	close(one);
	assert_read(two, 5, 99);
	close(two);
	assert_int_equal(files[0].reads, 0);
	assert_int_equal(stat_of(&w).passthrough_opens, 2);
	world_stop(&w);
}

static void opens_of_one_file_agree_while_it_completes(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 2 * MIB}};
	struct world w;
	int one, two;

	(void)state;
	world_start(&w, files, 1, NULL);
	one = open_ok("f");
	assert_read(one, 0, MIB);
	files[0].complete = true;
	two = open_ok("f");
	assert_read(two, MIB, MIB);
	assert_int_equal(stat_of(&w).passthrough_opens, 0);
	close(one);
	assert_read(two, 0, 2 * MIB);
	close(two);
	wait_until(files[0].opens == 0);
	one = open_ok("f");
	assert_read(one, 0, 2 * MIB);
	if (fs_session_passthrough(w.s))
		assert_int_equal(stat_of(&w).passthrough_opens, 1);
	close(one);
	world_stop(&w);
}

static void passthrough_can_be_switched_off(void **state)
{
	struct fs_config c = config_default();
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = MIB, .complete = true}};
	struct world w;
	int fd;

	(void)state;
	c.passthrough = false;
	world_start(&w, files, 1, &c);
	assert_false(fs_session_passthrough(w.s));
	fd = open_ok("f");
	assert_read(fd, 0, MIB);
	close(fd);
	assert_true(files[0].reads > 0);
	world_stop(&w);
}

static unsigned open_descriptors(void)
{
	DIR *list = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(list);
	while (readdir(list))
		count++;
	closedir(list);
	return count;
}

/* The kernel's reference to a backing file would keep its flock. */
static void a_thousand_opens_leak_nothing(void **state)
{
	struct fs_blob files[] = {
		{.name = "cached", .kind = FS_FILE, .size = 4096},
		{.name = "passed", .kind = FS_FILE, .size = 4096, .complete = true}};
	cleanup(free_at) char *path = NULL;
	unsigned before;
	struct world w;
	int again;

	(void)state;
	world_start(&w, files, 2, NULL);
	before = open_descriptors();
	for (int i = 0; i < 1000; i++) {
		int fd = open_ok(files[i % 2].name);

		assert_read(fd, 0, 4096);
		close(fd);
	}
	wait_until(files[0].opens == 0 && files[1].opens == 0);
	assert_int_equal(open_descriptors(), before);
	path = mem_printf("/proc/self/fd/%d", files[1].fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(again >= 0);
	assert_int_equal(flock(files[1].fd, LOCK_EX | LOCK_NB), 0);
	close(files[1].fd);
	files[1].fd = -1;
	assert_int_equal(flock(again, LOCK_EX | LOCK_NB), 0);
	close(again);
	world_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complete_blob_is_read_by_the_kernel_itself),
		cmocka_unit_test(opens_of_one_file_agree_while_it_completes),
		cmocka_unit_test(passthrough_can_be_switched_off),
		cmocka_unit_test(a_thousand_opens_leak_nothing),
	};

	return cmocka_run_group_tests(tests, prepare, clean_up);
}
