/* Right bytes at every offset, for one reader and for many. */
#include "fs/read.h"

#include "test/unit/fs/world.h"

#include <sys/resource.h>

static void reads_are_right_at_any_offset(void **state)
{
	struct fs_blob files[] = {{.name = "now", .kind = FS_FILE, .size = 5 * MIB + 123},
				  {.name = "later",
				   .kind = FS_FILE,
				   .size = 3 * MIB + 1,
				   .read_delay_ms = 1,
				   .open_delay_ms = 1,
				   .lookup_delay_ms = 1}};
	struct world w;

	(void)state;
	world_start(&w, files, 2, NULL);
	for (int i = 0; i < 2; i++) {
		int fd = open_ok(files[i].name);
		char rest[64];

		assert_read(fd, 0, files[i].size);
		assert_read(fd, MIB - 7, 100);
		assert_read(fd, files[i].size - 1, 1);
		assert_int_equal(pread(fd, rest, sizeof(rest), (off_t)files[i].size - 9), 9);
		assert_int_equal(pread(fd, rest, sizeof(rest), (off_t)files[i].size), 0);
		assert_int_equal(pread(fd, rest, sizeof(rest), (off_t)files[i].size + MIB), 0);
		close(fd);
	}
	assert_true(stat_of(&w).waits > 0);
	assert_true(stat_of(&w).bytes >= files[0].size + files[1].size);
	world_stop(&w);
}

static void kernel_keeps_what_it_has_read(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = MIB, .lasting = true}};
	struct world w;
	int reads, fd;

	(void)state;
	world_start(&w, files, 1, NULL);
	fd = open_ok("f");
	assert_read(fd, 0, MIB);
	close(fd);
	reads = files[0].reads;
	fd = open_ok("f");
	assert_read(fd, 0, MIB);
	close(fd);
	assert_int_equal(files[0].reads, reads);
	world_stop(&w);
}

static void offsets_beyond_4_gib_are_right(void **state)
{
	struct fs_blob files[] = {{.name = "large", .kind = FS_FILE, .size = 5 * GIB + 17}};
	struct world w;
	struct stat st;
	int fd;

	(void)state;
	world_start(&w, files, 1, NULL);
	fd = open_ok("large");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 5 * GIB + 17);
	assert_read(fd, 5 * GIB - MIB / 2, MIB / 2 + 17);
	close(fd);
	world_stop(&w);
}

/* The kernel would take a short answer for the file's end. */
static void bytes_that_are_missing_are_an_error(void **state)
{
	static const size_t lens[] = {512 << 10, 4096};
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 2 * MIB}};
	unsigned char *data = aligned_alloc(4096, lens[0]);
	struct world w;
	int fd;

	(void)state;
	world_start(&w, files, 1, NULL);
	assert_int_equal(ftruncate(files[0].fd, MIB + 2000), 0);
	fd = open_in("f", O_RDONLY | O_DIRECT);
	assert_true(fd >= 0);
	for (size_t i = 0; i < array_len(lens); i++) {
		assert_int_equal(pread(fd, data, lens[i], MIB - 4096), lens[i] == 4096 ? 4096 : -1);
		assert_int_equal(pread(fd, data, lens[i], MIB), -1);
		assert_int_equal(errno, EIO);
		assert_int_equal(pread(fd, data, lens[i], MIB + 8192), -1);
		assert_int_equal(errno, EIO);
	}
	assert_read(fd, 0, 512 << 10);
	close(fd);
	free(data);
	world_stop(&w);
}

static void without_pipes_answers_are_copied(void **state)
{
	struct fs_blob files[] = {{.name = "f", .kind = FS_FILE, .size = 2 * MIB}};
	struct rlimit before, now;
	struct world w;
	int fd;

	(void)state;
	world_start(&w, files, 1, NULL);
	fd = open_ok("f");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	now = before;
	now.rlim_cur = (rlim_t)fd;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	assert_read(fd, 0, 2 * MIB);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	close(fd);
	world_stop(&w);
}

struct reader {
	pthread_t thread;
	uint64_t size;
	unsigned seed;
	bool right;
};

static void *read_randomly(void *arg)
{
	struct reader *r = arg;
	unsigned char *data = mem_alloc(256 << 10);
	int fd = open_in("f", O_RDONLY);

	r->right = fd >= 0;
	for (int i = 0; i < 20 && r->right; i++) {
		uint64_t off = ((uint64_t)rand_r(&r->seed) << 8) % r->size;
		size_t len = (size_t)rand_r(&r->seed) % (256 << 10) + 1;
		ssize_t n = pread(fd, data, len, (off_t)off);

		r->right = n > 0 && ((size_t)n == len || off + (size_t)n == r->size) &&
			   fake_is_right(data, off, (size_t)n);
	}
	if (fd >= 0)
		close(fd);
	free(data);
	return NULL;
}

static void sixty_four_readers_get_right_bytes(void **state)
{
	struct fs_blob files[] = {
		{.name = "f", .kind = FS_FILE, .size = 48 * MIB + 5, .read_delay_ms = 2}};
	struct reader readers[64];
	struct world w;

	(void)state;
	world_start(&w, files, 1, NULL);
	for (unsigned i = 0; i < 64; i++) {
		readers[i] = (struct reader){.size = files[0].size, .seed = i};
		assert_int_equal(
			pthread_create(&readers[i].thread, NULL, read_randomly, &readers[i]), 0);
	}
	for (unsigned i = 0; i < 64; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_true(readers[i].right);
	}
	world_stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_are_right_at_any_offset),
		cmocka_unit_test(kernel_keeps_what_it_has_read),
		cmocka_unit_test(offsets_beyond_4_gib_are_right),
		cmocka_unit_test(bytes_that_are_missing_are_an_error),
		cmocka_unit_test(without_pipes_answers_are_copied),
		cmocka_unit_test(sixty_four_readers_get_right_bytes),
	};

	return cmocka_run_group_tests(tests, prepare, clean_up);
}
