/* daemon/store_gc, store_slot: quota, marks, TTL, and what happens when the disk is full */
#include "test/unit/daemon/store_fixture.h"

#include "base/clock.h"

#include <sched.h>
#include <sys/mount.h>

#define MIB   (1u << 20)
#define PIECE (1u * MIB)

static int64_t hours_ago(int hours)
{
	return clock_wall_ms() - hours * INT64_C(3600000);
}

/* A task of so many pieces, all filled, that was used some hours ago. */
static void task_of_age(struct fixture *f, unsigned seed, uint32_t pieces, int hours)
{
	cleanup(free_at) char *path = path_of(f, seed, ".rec");
	struct store_task *t = task_make(f, seed, (uint64_t)pieces * PIECE, PIECE);
	int64_t ms = hours_ago(hours);
	struct timespec times[2] = {{.tv_sec = ms / 1000}, {.tv_sec = ms / 1000}};

	task_fill(f, t, seed);
	store_task_unref(t);
	store_close(f->store);
	f->store = NULL;
	assert_ok(utimensat(AT_FDCWD, path, times, 0));
	fixture_open(f);
}

/* Which of the tasks 1..8 are there, as digits. */
static const char *known(struct fixture *f, char text[9])
{
	char *to = text;

	for (unsigned seed = 1; seed <= 8; seed++) {
		cleanup(free_at) char *path = path_of(f, seed, "");

		if (file_exists(path))
			*to++ = (char)('0' + seed);
	}
	*to = 0;
	return text;
}

static void quota(struct fixture *f, uint64_t bytes)
{
	f->config.quota = bytes;
	fixture_reopen(f);
	assert_int_equal(stat_of(f).quota, bytes);
}

static void the_least_recently_used_go_until_the_low_mark(void **state)
{
	struct fixture *f = *state;
	char text[9];

	task_of_age(f, 1, 2, 1);
	task_of_age(f, 2, 2, 4);
	task_of_age(f, 3, 2, 2);
	task_of_age(f, 4, 2, 3);
	f->config.low_percent = 70;
	quota(f, 10 * MIB);
	assert_int_equal(store_gc(f->store), 1); /* 8 MiB and their records are over 80 % */
	assert_string_equal(known(f, text), "134");
	assert_int_equal(stat_of(f).evicted, 1);
	assert_int_equal(store_gc(f->store), 0);
	f->config.low_percent = 50;
	quota(f, 6 * MIB);
	assert_int_equal(store_gc(f->store), 2);
	assert_string_equal(known(f, text), "1");
	assert_true(stat_of(f).bytes < 3 * MIB);
}

static void what_others_keep_counts(void **state)
{
	struct fixture *f = *state;
	char text[9];

	task_of_age(f, 1, 2, 1);
	task_of_age(f, 2, 2, 2);
	f->config.low_percent = 70;
	quota(f, 10 * MIB);
	assert_int_equal(store_excess(f->store), 0);
	assert_int_equal(store_gc(f->store), 0);
	store_set_others(f->store, 9 * MIB / 2);
	assert_int_equal(store_excess(f->store),
			 stat_of(f).bytes + 9 * MIB / 2 - 10 * MIB / 100 * 70);
	assert_int_equal(store_gc(f->store), 1);
	assert_string_equal(known(f, text), "1");
	store_set_others(f->store, 20 * MIB);
	assert_int_equal(store_gc(f->store), 1);
	store_set_others(f->store, 0);
	assert_int_equal(store_excess(f->store), 0);
}

static void a_touched_task_is_the_last_to_go(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;
	char text[9];

	task_of_age(f, 1, 2, 3);
	task_of_age(f, 2, 2, 2);
	quota(f, 4 * MIB);
	t = task_find(f, 1);
	store_task_touch(t);
	store_task_unref(t);
	assert_int_equal(store_gc(f->store), 1);
	assert_string_equal(known(f, text), "1");
}

static void what_is_referenced_stays(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;
	char text[9];

	task_of_age(f, 1, 3, 3);
	task_of_age(f, 2, 1, 2);
	quota(f, 2 * MIB);
	t = task_find(f, 1);
	assert_int_equal(store_gc(f->store), 1);
	assert_string_equal(known(f, text), "1");
	assert_int_equal(store_gc(f->store), 0);
	assert_true(piece_is_right(t, store_task_fd(t), 1, 2));
	store_task_unref(t);
	assert_int_equal(store_gc(f->store), 1);
	assert_string_equal(known(f, text), "");
	assert_int_equal(stat_of(f).bytes, 0);
}

static void the_unfinished_stay_for_their_time(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;
	char text[9];

	task_of_age(f, 1, 2, 9);
	task_of_age(f, 2, 2, 3);
	f->config.unfinished_ttl_ms = 4 * 3600000;
	quota(f, 2 * MIB);
	for (unsigned seed = 1; seed <= 2; seed++) {
		t = task_find(f, seed);
		store_piece_drop(t, 0);
		store_task_unref(t);
	}
	assert_int_equal(store_gc(f->store), 1);
	assert_string_equal(known(f, text), "2");
}

static void what_nobody_used_for_its_time_goes(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;
	char text[9];

	task_of_age(f, 1, 1, 5);
	task_of_age(f, 2, 1, 3);
	task_of_age(f, 3, 1, 5);
	f->config.task_ttl_ms = 4 * 3600000;
	fixture_reopen(f);
	t = task_find(f, 3);
	assert_int_equal(store_gc(f->store), 1);
	assert_string_equal(known(f, text), "23");
	store_task_unref(t);
	assert_int_equal(store_gc(f->store), 1);
	assert_string_equal(known(f, text), "2");
}

static void a_create_over_the_high_mark_makes_room(void **state)
{
	struct fixture *f = *state;
	char text[9];

	task_of_age(f, 1, 4, 3);
	task_of_age(f, 2, 2, 2);
	quota(f, 10 * MIB);
	store_task_unref(task_make(f, 3, 3 * PIECE, PIECE));
	assert_string_equal(known(f, text), "23");
	/* What can never fit empties nothing. */
	store_task_unref(task_make(f, 4, 300 * (uint64_t)PIECE, PIECE));
	assert_string_equal(known(f, text), "234");
}

static void a_slot_over_the_high_mark_makes_room(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;
	char text[9];

	task_of_age(f, 1, 3, 3);
	task_of_age(f, 2, 3, 2);
	quota(f, 10 * MIB);
	t = task_make(f, 3, 300 * (uint64_t)PIECE, PIECE);
	assert_int_equal(piece_fill(f, t, 3, 0), -1);
	assert_string_equal(known(f, text), "123");
	assert_int_equal(piece_fill(f, t, 3, 1), -1);
	assert_string_equal(known(f, text), "23");
	for (uint32_t i = 2; i < 7; i++)
		assert_int_equal(piece_fill(f, t, 3, i), -1);
	assert_string_equal(known(f, text), "3");
	store_task_unref(t);
}

/* ---- nothing left to evict */

static void with_the_quota_used_up_pieces_pass_through_memory(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;
	int fd;

	quota(f, 3 * MIB + MIB / 2);
	t = task_make(f, 1, 5 * PIECE, PIECE);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(piece_fill(f, t, 1, i), -1);
	fd = piece_fill(f, t, 1, 4);
	assert_true(fd >= 0);
	assert_true(piece_is_right(t, fd, 1, 4));
	assert_int_equal(store_piece_get(t, 4, NULL), STORE_ABSENT);
	assert_int_equal(stat_of(f).volatile_pieces, 1);
	assert_true(stat_of(f).bytes <= f->config.quota);
	store_volatile_close(f->store, fd);
	/* A piece's place that was taken already costs nothing. */
	store_piece_drop(t, 1);
	assert_int_equal(piece_fill(f, t, 1, 1), -1);
	store_task_unref(t);
	fixture_reopen(f);
	t = task_find(f, 1);
	assert_int_equal(store_task_present_count(t), 3);
	store_task_unref(t);
}

static void room_is_found_again_once_something_may_go(void **state)
{
	struct fixture *f = *state;
	struct store_task *held, *t;
	int fd;

	quota(f, 3 * MIB + MIB / 2);
	held = task_make(f, 1, 3 * PIECE, PIECE);
	task_fill(f, held, 1);
	t = task_make(f, 2, 3 * PIECE, PIECE);
	fd = piece_fill(f, t, 2, 0);
	assert_true(fd >= 0);
	store_volatile_close(f->store, fd);
	store_task_unref(held);
	assert_int_equal(piece_fill(f, t, 2, 0), -1);
	assert_false(task_is_known(f, 1));
	store_task_unref(t);
}

static void memory_for_pieces_is_bounded(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) unsigned char *data = mem_alloc(PIECE);
	struct store_slot slot;
	struct store_task *t;
	int fds[64];

	quota(f, MIB / 2);
	t = task_make(f, 1, 100 * (uint64_t)PIECE, PIECE);
	for (uint32_t i = 0; i < 64; i++) {
		assert_ok(store_slot_open(t, i, &slot, &f->e));
		assert_true(slot.volatile_);
		if (i % 2 == 0) {
			store_slot_abort(&slot);
			assert_ok(store_slot_open(t, i, &slot, &f->e));
		}
		assert_ok(store_slot_write(&slot, data, PIECE, &f->e));
		assert_ok(store_slot_commit(&slot, NULL, STORE_FROM_PEER, 0, &fds[i], &f->e));
		/* The bound is on what the store gave away, not on what the test keeps. */
		assert_ok(fallocate(fds[i], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				    100 * (off_t)PIECE));
	}
	assert_int_equal(store_slot_open(t, 70, &slot, &f->e), -EBUSY);
	assert_int_equal(store_slot_open(t, 70, &slot, &f->e), -EBUSY);
	store_volatile_close(f->store, fds[7]);
	assert_ok(store_slot_open(t, 70, &slot, &f->e));
	store_slot_abort(&slot);
	for (uint32_t i = 0; i < 64; i++)
		if (i != 7)
			store_volatile_close(f->store, fds[i]);
	assert_int_equal(stat_of(f).volatile_pieces, 64);
	store_task_unref(t);
}

static void one_piece_always_fits_in_memory(void **state)
{
	struct fixture *f = *state;
	struct store_slot slot, other;
	struct store_task *t;

	quota(f, MIB / 2);
	t = task_make(f, 1, 300 * (uint64_t)MIB, 100 * MIB);
	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	assert_true(slot.volatile_);
	assert_int_equal(store_slot_open(t, 1, &other, &f->e), -EBUSY);
	store_slot_abort(&slot);
	assert_ok(store_slot_open(t, 1, &other, &f->e));
	store_slot_abort(&other);
	store_task_unref(t);
}

static unsigned lines_with(const char *path, const char *text)
{
	cleanup(fclose_at) FILE *file = fopen(path, "re");
	char line[1024];
	unsigned n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		n += strstr(line, text) != NULL;
	return n;
}

static void the_reason_is_told_once_per_episode(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *logs = mem_printf("%s/logs", f->dir);
	cleanup(free_at) char *path = mem_printf("%s/test.log", logs);
	struct store_task *t, *held;

	quota(f, 3 * MIB + MIB / 2);
	assert_ok(log_open_dir("test", logs, 1 << 20, 2, &f->e));
	log_set_level(LOG_INFO);
	for (unsigned episode = 1; episode <= 2; episode++) {
		held = task_make(f, 1, 3 * PIECE, PIECE);
		task_fill(f, held, 1);
		t = task_make(f, 2, 3 * PIECE, PIECE);
		for (int i = 0; i < 3; i++)
			store_volatile_close(f->store, piece_fill(f, t, 2, 0));
		assert_int_equal(lines_with(path, "takes no more pieces"), episode);
		assert_int_equal(lines_with(path, "takes pieces again"), episode - 1);
		store_task_remove(held);
		store_task_unref(held);
		task_fill(f, t, 2);
		assert_int_equal(lines_with(path, "takes pieces again"), episode);
		store_task_remove(t);
		store_task_unref(t);
	}
	log_set_level(LOG_ERROR);
	log_open_stderr("test", LOG_AUTO);
}

/* ---- a full disk: a small tmpfs in a mount namespace of our own */

static bool can_mount;

static int full_setup(void **state)
{
	struct fixture *f;

	if (fixture_setup_at(state, "/tmp") != 0)
		return -1;
	f = *state;
	store_close(f->store);
	f->store = NULL;
	if (!can_mount)
		return 0;
	f->config.quota = 1u << 30; /* more than there is */
	if (mount("none", f->dir, "tmpfs", 0, "size=4m,nr_inodes=16") < 0)
		return -1;
	return store_open(&f->config, &f->store, &f->e);
}

static int full_teardown(void **state)
{
	struct fixture *f = *state;

	if (f->store)
		store_close(f->store);
	f->store = NULL;
	if (can_mount)
		umount2(f->dir, MNT_DETACH);
	return fixture_teardown(state);
}

static void skip_unless_mounted(void)
{
	if (!can_mount) {
		print_message("skipped: needs root to mount a small tmpfs\n");
		skip();
	}
}

/* The second piece of two, begun with that block, finds no room on its way. */
static struct store_task *turn_volatile(struct fixture *f, unsigned first_block)
{
	cleanup(free_at) unsigned char *data = mem_alloc(6 * MIB);
	const unsigned char *from = data + first_block * (3 * MIB / 16);
	struct store_task *t = task_make(f, 1, 6 * MIB, 3 * MIB);
	struct store_slot slot;
	int fd;

	assert_int_equal(piece_fill(f, t, 1, 0), -1);
	bytes_of(1, 3 * MIB, 3 * MIB, data);
	memcpy(data + 3 * MIB, data, 3 * MIB);
	assert_ok(store_slot_open(t, 1, &slot, &f->e));
	store_slot_begin_at(&slot, first_block);
	/* Into the middle of a block, round the end if it began that late. */
	assert_ok(store_slot_write(&slot, from, MIB / 2, &f->e));
	assert_false(slot.volatile_);
	assert_ok(store_slot_write(&slot, from + MIB / 2, 2 * MIB + MIB / 2, &f->e));
	assert_true(slot.volatile_);
	assert_ok(store_slot_commit(&slot, NULL, STORE_FROM_PEER, 0, &fd, &f->e));
	assert_int_equal(slot.crc32, crc32_update(0, data, 3 * MIB));
	assert_true(piece_is_right(t, fd, 1, 1));
	store_volatile_close(f->store, fd);
	return t;
}

static void a_disk_that_fills_on_the_way_turns_the_slot_volatile(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;

	skip_unless_mounted();
	t = turn_volatile(f, 0);
	assert_true(piece_is_right(t, store_task_fd(t), 1, 0));
	/* The part that was on disk was given back. */
	assert_true(stat_of(f).bytes < 3 * MIB + 64 * 1024);
	store_task_unref(t);
	fixture_crash(f);
	t = task_find(f, 1);
	assert_ok(store_piece_prove(t, 0, &f->e));
	assert_int_equal(store_piece_get(t, 1, NULL), STORE_ABSENT);
	store_task_unref(t);
}

static void a_piece_that_began_in_its_middle_turns_volatile_all_the_same(void **state)
{
	skip_unless_mounted();
	store_task_unref(turn_volatile(*state, 14));
}

/* What readers are shown early has its own bound: it takes nothing from pieces of a full disk. */
static void what_is_shown_and_what_is_volatile_are_counted_apart(void **state)
{
	struct fixture *f = *state;
	int shown[64], one, fd;
	struct store_task *t;

	f->config.quota = 1;
	fixture_reopen(f);
	for (unsigned i = 0; i < 64; i++)
		assert_ok(store_shown_open(f->store, MIB, &shown[i], &f->e));
	assert_int_equal(store_shown_open(f->store, 1, &one, &f->e), -EBUSY);
	t = task_make(f, 1, MIB, MIB);
	fd = piece_fill(f, t, 1, 0);
	assert_true(fd >= 0);
	store_volatile_close(f->store, fd);
	store_task_unref(t);
	store_volatile_close(f->store, shown[0]);
	assert_ok(store_shown_open(f->store, MIB, &shown[0], &f->e));
	for (unsigned i = 0; i < 64; i++)
		store_volatile_close(f->store, shown[i]);
}

static void what_the_disk_does_not_give_back_is_refused(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, "");
	cleanup(free_at) unsigned char *data = mem_alloc(5 * MIB);
	struct store_task *t;
	struct store_slot slot;

	skip_unless_mounted();
	t = task_make(f, 1, 5 * MIB, 5 * MIB);
	bytes_of(1, 0, 5 * MIB, data);
	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	assert_ok(store_slot_write(&slot, data, MIB, &f->e));
	file_write(path, "\0", 1, MIB / 2);
	assert_int_equal(store_slot_write(&slot, data + MIB, 4 * MIB, &f->e), -EIO);
	store_slot_abort(&slot);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_ABSENT);
	store_task_unref(t);
}

static void a_full_disk_evicts_first(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;

	skip_unless_mounted();
	t = task_make(f, 1, 2 * PIECE, PIECE);
	task_fill(f, t, 1);
	store_task_unref(t);
	t = task_make(f, 2, 3 * PIECE, PIECE);
	task_fill(f, t, 2);
	assert_false(task_is_known(f, 1));
	for (uint32_t i = 0; i < 3; i++)
		assert_true(piece_is_right(t, store_task_fd(t), 2, i));
	store_task_unref(t);
}

static void a_disk_without_room_for_a_file_gives_a_task_without(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *content = path_of(f, 9, "");
	struct store_task *held[8], *t;
	unsigned count = 0;
	int fd;

	skip_unless_mounted();
	for (; count < 8; count++) { /* 16 inodes are soon used up */
		cleanup(free_at) char *path = path_of(f, count + 1, "");

		held[count] = task_make(f, count + 1, PIECE, PIECE);
		if (!file_exists(path))
			break;
	}
	assert_in_range(count, 1, 7);
	t = task_make(f, 9, 2 * PIECE, PIECE);
	assert_false(file_exists(content));
	fd = piece_fill(f, t, 9, 1);
	assert_true(fd >= 0);
	assert_true(piece_is_right(t, fd, 9, 1));
	assert_ptr_equal(task_find(f, 9), t); /* while somebody holds it */
	store_task_unref(t);
	store_task_remove(t);
	store_task_unref(t);
	store_volatile_close(f->store, fd);
	assert_false(task_is_known(f, 9));
	for (unsigned i = 0; i <= count; i++)
		store_task_unref(held[i]);
	assert_false(task_is_known(f, count + 1));
	assert_int_equal(stat_of(f).tasks, count);
	/* With something that may go, there is a file again. */
	t = task_make(f, 9, 2 * PIECE, PIECE);
	assert_true(file_exists(content));
	store_task_unref(t);
}

static void close_if_volatile(struct fixture *f, int fd)
{
	if (fd >= 0)
		store_volatile_close(f->store, fd);
}

static void a_disk_without_room_for_a_record_gives_a_task_without(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *content = path_of(f, 2, "");
	struct store_task *held, *t;

	skip_unless_mounted();
	held = task_make(f, 1, 8 * MIB, 4096);
	for (uint32_t i = 0; i < 1024; i++) /* 4 MiB, less the records */
		close_if_volatile(f, piece_fill(f, held, 1, i));
	for (int i = 0; i < 2; i++) {
		t = task_make(f, 2, 2 * PIECE, PIECE);
		assert_false(file_exists(content));
		close_if_volatile(f, piece_fill(f, t, 2, 0));
		store_task_unref(t);
	}
	store_task_unref(held);
	t = task_make(f, 2, 2 * PIECE, PIECE);
	assert_true(file_exists(content));
	assert_int_equal(piece_fill(f, t, 2, 0), -1);
	store_task_unref(t);
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
#define with_small(test) cmocka_unit_test_setup_teardown(test, full_setup, full_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_store(the_least_recently_used_go_until_the_low_mark),
		with_store(what_others_keep_counts),
		with_store(a_touched_task_is_the_last_to_go),
		with_store(what_is_referenced_stays),
		with_store(the_unfinished_stay_for_their_time),
		with_store(what_nobody_used_for_its_time_goes),
		with_store(a_create_over_the_high_mark_makes_room),
		with_store(a_slot_over_the_high_mark_makes_room),
		with_store(with_the_quota_used_up_pieces_pass_through_memory),
		with_store(room_is_found_again_once_something_may_go),
		with_store(memory_for_pieces_is_bounded),
		with_store(one_piece_always_fits_in_memory),
		with_store(the_reason_is_told_once_per_episode),
		with_small(a_disk_that_fills_on_the_way_turns_the_slot_volatile),
		with_small(a_piece_that_began_in_its_middle_turns_volatile_all_the_same),
		with_store(what_is_shown_and_what_is_volatile_are_counted_apart),
		with_small(what_the_disk_does_not_give_back_is_refused),
		with_small(a_full_disk_evicts_first),
		with_small(a_disk_without_room_for_a_file_gives_a_task_without),
		with_small(a_disk_without_room_for_a_record_gives_a_task_without),
	};

	can_mount = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
