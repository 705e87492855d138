/* A lazy layer: bytes inflated once, wrong ones never given out, what an earlier process left. */
#include "daemon/layer.h"

#include "test/unit/daemon/layer_fixture.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>

#define STEP (FILE_LEN / 24)

static bool stopping;
static int64_t read_ms;
static struct layer_place place = {.dir = dir, .stopping = &stopping, .read_ms = &read_ms};

int task_open_wait(struct tasks *ts, const struct task_request *rq, struct task **out,
		   struct err *e)
{
	(void)ts;
	(void)e;
	assert_non_null(rq->digest);
	task_ref(&fake.task);
	*out = &fake.task;
	return 0;
}

int task_wait_complete(struct task *t, enum task_priority p, const struct task_wait *w, int *fd_out,
		       struct err *e)
{
	(void)t;
	(void)w;
	assert_int_equal(p, TASK_REST);
	*fd_out = -1;
	return fake.fails ? err_set(e, fake.fails, "fake") : 0;
}

static int set_up(void **state)
{
	char *path cleanup(free_at) = NULL;

	(void)state;
	make_layer();
	path = path_of("idx");
	make_index_at(path);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return remove_layer();
}

static struct layer *open_layer(void)
{
	struct layer *l = NULL;
	struct err e = {0};

	if (layer_open(&place, fake.digest, &l, &e) < 0)
		fail_msg("%s", e.text);
	return l;
}

/* On any thread. */
static bool reads_right(struct layer *l, uint64_t off, uint32_t len)
{
	unsigned char *got cleanup(free_at) = mem_alloc(len);
	struct err e = {0};

	return layer_fill(l, off, len, true, &e) == 0 && layer_has(l, off, len) &&
	       pread(layer_fd(l), got, len, (off_t)off) == (ssize_t)len &&
	       memcmp(got, fake.tar + off, len) == 0;
}

static void expect_bytes(struct layer *l, uint64_t off, uint32_t len)
{
	assert_true(reads_right(l, off, len));
}

static bool is_there(const char *ending)
{
	char *path cleanup(free_at) = path_of(ending);

	return access(path, F_OK) == 0;
}

static void a_read_takes_a_part_of_the_blob_and_is_right(void **state)
{
	struct layer *l = open_layer();
	uint64_t before;

	(void)state;
	assert_int_equal(layer_info(l)->len, TAR_LEN);
	assert_false(layer_has(l, 5 << 20, 4096));
	expect_bytes(l, 5 << 20, 4096);
	assert_true(fake.bytes_read < fake.blob_len * 3 / 4);
	before = fake.bytes_read;
	expect_bytes(l, 5 << 20, 8192);
	assert_int_equal(fake.bytes_read, before); /* nothing is inflated twice */
	expect_bytes(l, 0, 700000);
	expect_bytes(l, TAR_LEN - 100, 100);
	layer_unref(l);
}

static void *read_all(void *arg)
{
	bool right = true;

	for (uint64_t off = 0; off < FILE_LEN; off += STEP)
		right = right && reads_right(arg, off, STEP);
	return right ? arg : NULL;
}

static void many_readers_inflate_once(void **state)
{
	struct layer *l = open_layer();
	pthread_t threads[6];

	(void)state;
	for (size_t i = 0; i < array_len(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, l), 0);
	for (size_t i = 0; i < array_len(threads); i++) {
		void *right = NULL;

		assert_int_equal(pthread_join(threads[i], &right), 0);
		assert_ptr_equal(right, l);
	}
	/* A block that two spans share costs its first span's end once more. */
	assert_true(fake.bytes_read < fake.blob_len * 5 / 2);
	layer_unref(l);
}

static void what_an_earlier_process_left_is_compared_first(void **state)
{
	char *path cleanup(free_at) = path_of("data");
	struct layer *l = open_layer();
	int fd;

	(void)state;
	expect_bytes(l, 0, TAR_LEN);
	layer_unref(l);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "torn", 4, (2 << 20) + 5), 4);
	close(fd);
	l = open_layer();
	fake.bytes_read = 0;
	expect_bytes(l, 0, 1 << 20);
	assert_int_equal(fake.bytes_read, 0);
	expect_bytes(l, 2 << 20, 4096);
	assert_true(fake.bytes_read > 0);
	layer_unref(l);
}

static void wrong_bytes_are_never_given_out(void **state)
{
	struct layer *l = open_layer(), *again;
	struct err e = {0};

	(void)state;
	for (size_t at = fake.blob_len / 3; at < fake.blob_len / 3 + 64; at++)
		fake.blob[at] ^= 0x55;
	assert_int_equal(layer_fill(l, 2 << 20, 1 << 20, true, &e), -EIO);
	assert_false(layer_has(l, 2 << 20, 4096));
	/* Refused from now on, also where it would be right and in the next process. */
	assert_int_equal(layer_fill(l, 0, 4096, true, &e), -EIO);
	assert_int_equal(layer_complete(l, &e), -EIO);
	assert_true(layer_is_broken(l));
	layer_unref(l);
	assert_int_equal(layer_open(&place, fake.digest, &again, &e), -ENOENT);
}

static void a_network_that_fails_is_tried_again(void **state)
{
	struct layer *l = open_layer();
	struct err e = {0};

	(void)state;
	fake.fails = EHOSTUNREACH;
	assert_int_equal(layer_fill(l, 0, 4096, true, &e), -EHOSTUNREACH);
	assert_int_equal(layer_complete(l, &e), -EHOSTUNREACH);
	assert_false(layer_is_complete(l));
	fake.fails = 0;
	expect_bytes(l, 0, 4096);
	layer_unref(l);
}

static void a_complete_layer_needs_nobody(void **state)
{
	struct layer *l = open_layer();
	struct err e = {0};

	(void)state;
	assert_int_equal(layer_complete(l, &e), 0);
	assert_true(layer_is_complete(l));
	assert_true(is_there("done"));
	layer_unref(l);
	fake.fails = EHOSTUNREACH;
	l = open_layer();
	assert_true(layer_is_complete(l));
	expect_bytes(l, 0, TAR_LEN);
	layer_unref(l);
}

/* ---- a full disk */

static bool can_mount;

static int set_up_full(void **state)
{
	char *path cleanup(free_at) = NULL;

	make_layer();
	if (can_mount && mount("none", dir, "tmpfs", 0, "size=3m") < 0)
		return -1;
	path = path_of("idx");
	make_index_at(path);
	*state = NULL;
	return 0;
}

static int tear_down_full(void **state)
{
	(void)state;
	place.make_room = NULL;
	if (can_mount && umount(dir) < 0)
		return -1;
	return remove_layer();
}

static void a_full_disk_is_told_and_bytes_are_right_when_there_is_room_again(void **state)
{
	struct layer *l;
	struct err e = {0};

	(void)state;
	if (!can_mount)
		skip();
	l = open_layer();
	assert_int_equal(layer_fill(l, 0, FILE_LEN, true, &e), -ENOSPC);
	assert_false(layer_has(l, 0, FILE_LEN));
	assert_int_equal(layer_complete(l, &e), -ENOSPC);
	assert_false(layer_is_complete(l) || layer_is_broken(l) || is_there("done"));
	assert_int_equal(mount("none", dir, "tmpfs", MS_REMOUNT, "size=30m"), 0);
	expect_bytes(l, 0, TAR_LEN);
	layer_unref(l);
}

static bool enlarge(void *arg, uint64_t need)
{
	assert_ptr_equal(arg, &place);
	assert_true(need > 0);
	return mount("none", dir, "tmpfs", MS_REMOUNT, "size=30m") == 0;
}

static void room_is_made_for_a_reader(void **state)
{
	struct layer *l;

	(void)state;
	if (!can_mount)
		skip();
	place.make_room = enlarge;
	place.arg = &place;
	l = open_layer();
	expect_bytes(l, 0, TAR_LEN);
	layer_unref(l);
}

static void an_index_of_another_layer_is_refused(void **state)
{
	char *from cleanup(free_at) = path_of("idx");
	char *to cleanup(free_at) = NULL;
	struct layer *l;
	struct err e = {0};

	(void)state;
	fake.digest[0] = fake.digest[0] == 'a' ? 'b' : 'a';
	to = path_of("idx");
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(layer_open(&place, fake.digest, &l, &e), -EBADMSG);
}

#define layer_test(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		layer_test(a_read_takes_a_part_of_the_blob_and_is_right),
		layer_test(many_readers_inflate_once),
		layer_test(what_an_earlier_process_left_is_compared_first),
		layer_test(wrong_bytes_are_never_given_out),
		layer_test(a_network_that_fails_is_tried_again),
		layer_test(a_complete_layer_needs_nobody),
		layer_test(an_index_of_another_layer_is_refused),
		cmocka_unit_test_setup_teardown(
			a_full_disk_is_told_and_bytes_are_right_when_there_is_room_again,
			set_up_full, tear_down_full),
		cmocka_unit_test_setup_teardown(room_is_made_for_a_reader, set_up_full,
						tear_down_full),
	};

	can_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;

	return cmocka_run_group_tests(tests, NULL, NULL);
}
