/* What names show: sizes, times, kinds, attributes, nothing writable; the bound of names. */
#include "fs/lookup.h"

#include "test/unit/fs/world.h"

#include <dirent.h>
#include <sys/xattr.h>

static void names_show_true_sizes_times_and_kinds(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 1025, .mtime_ms = 1000500},
				  {.name = "l", .kind = FS_LINK, .link = "f"},
				  {.name = "d", .kind = FS_DIR},
				  {.name = "small", .kind = FS_FILE, .size = 5, .data = "hello"}};
	cleanup(free_at) char *path = NULL;
	struct stat st, child;
	struct dirent *item;
	unsigned seen = 0;
	struct world w;
	char text[16];
	DIR *list;
	int fd;

	(void)state;
	world_start(&w, files, 4, NULL);
	assert_int_equal(stat_in("f", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0444);
	assert_int_equal(st.st_size, 1025);
	assert_int_equal(st.st_blocks, 3);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(st.st_mtim.tv_nsec, 500000000);
	assert_int_equal(stat_in("d", &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0555);
	path = mem_printf("%s/l", mount_path);
	assert_int_equal(readlink(path, text, sizeof(text)), 1);
	assert_int_equal(text[0], 'f');
	fd = open_ok("small");
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(pread(fd, text, sizeof(text), 5), 0);
	close(fd);
	list = opendir(mount_path);
	assert_non_null(list);
	while ((item = readdir(list))) {
		if (item->d_name[0] == '.')
			continue;
		seen++;
		assert_int_equal(stat_in(item->d_name, &child), 0);
		assert_int_equal(child.st_ino, item->d_ino);
		assert_int_equal(item->d_type, child.st_mode >> 12);
	}
	closedir(list);
	assert_int_equal(seen, 4);
	world_stop(&w);
}

static void attributes_tell_where_a_file_stands(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 1, .open_delay_ms = 1},
				  {.name = "d", .kind = FS_DIR}};
	cleanup(free_at) char *file = NULL, *subdir = NULL;
	char text[128];
	struct world w;

	(void)state;
	world_start(&w, files, 2, NULL);
	file = mem_printf("%s/f", mount_path);
	subdir = mem_printf("%s/d", mount_path);
	assert_int_equal(getxattr(file, "user.d7y.task_id", text, sizeof(text)), 7);
	assert_memory_equal(text, "id-of-f", 7);
	assert_int_equal(getxattr(file, "user.d7y.task_id", NULL, 0), 7);
	assert_int_equal(getxattr(file, "user.d7y.task_id", text, 3), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(listxattr(file, text, sizeof(text)), 17 + 16);
	assert_memory_equal(text, "user.d7y.task_id\0user.d7y.pieces", 33);
	assert_int_equal(getxattr(file, "user.d7y.error", text, sizeof(text)), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(getxattr(file, "user.d7y.nonsense", text, sizeof(text)), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(getxattr(file, "user.other", text, sizeof(text)), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(getxattr(file, "security.capability", text, sizeof(text)), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(getxattr(subdir, "user.d7y.task_id", text, sizeof(text)), -1);
	assert_int_equal(errno, ENODATA);
	assert_int_equal(listxattr(subdir, text, sizeof(text)), 0);
	files[0].open_errno = EACCES;
	assert_int_equal(getxattr(file, "user.d7y.task_id", text, sizeof(text)), -1);
	assert_int_equal(errno, EACCES);
	world_stop(&w);
}

static void nothing_can_be_written(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 1}};
	cleanup(free_at) char *path = NULL;
	struct world w;

	(void)state;
	world_start(&w, files, 1, NULL);
	path = mem_printf("%s/f", mount_path);
	assert_int_equal(open_in("f", O_RDWR), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(open_in("new", O_CREAT | O_WRONLY), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(unlink(path), -1);
	assert_int_equal(errno, EROFS);
	world_stop(&w);
}

static void absent_name_is_not_remembered(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 1, .hidden = true}};
	struct world w;
	struct stat st;

	(void)state;
	world_start(&w, files, 1, NULL);
	assert_int_equal(stat_in("f", &st), -1);
	assert_int_equal(errno, ENOENT);
	files[0].hidden = false;
	assert_int_equal(stat_in("f", &st), 0);
	world_stop(&w);
}

static void names_beyond_the_bound_push_out_old_ones(void **state)
{
	struct fs_config c = config_default();
	struct fs_blob files[] = {
		{.name = "x", .kind = FS_FILE, .size = 0, .data = "", .lasting = true}};
	struct world w;
	struct stat st;

	(void)state;
	c.names_kb = 256; /* room for some 1,200 */
	world_start(&w, files, 1, &c);
	w.f.endless = true;
	for (int i = 0; i < 5000; i++) {
		char name[16];
		int r;

		snprintf(name, sizeof(name), "n%d", i);
		/* While the pruning is on its way the table may be full for a moment. */
		wait_until((r = stat_in(name, &st)) == 0 || errno != ENFILE);
		assert_int_equal(r, 0);
	}
	world_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_show_true_sizes_times_and_kinds),
		cmocka_unit_test(attributes_tell_where_a_file_stands),
		cmocka_unit_test(nothing_can_be_written),
		cmocka_unit_test(absent_name_is_not_remembered),
		cmocka_unit_test(names_beyond_the_bound_push_out_old_ones),
	};

	return cmocka_run_group_tests(tests, prepare, clean_up);
}
