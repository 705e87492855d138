/* daemon/store_slot: pieces being written, by one and by many */
#include "test/unit/daemon/store_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#define PIECE 300000 /* more than is hashed at once */

static void nothing_shows_before_commit(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, PIECE, PIECE);
	cleanup(free_at) unsigned char *data = mem_alloc(PIECE);
	struct store_slot slot;
	int fd;

	bytes_of(1, 0, PIECE, data);
	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	assert_int_equal(slot.length, PIECE);
	assert_false(slot.volatile_);
	assert_ok(store_slot_write(&slot, data, PIECE, &f->e));
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_ABSENT);
	assert_ok(store_slot_commit(&slot, NULL, STORE_FROM_ORIGIN, 0, &fd, &f->e));
	assert_int_equal(fd, -1);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_PRESENT);
	store_task_unref(t);
}

static void little_writes_give_the_sums_of_the_whole(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, PIECE, PIECE);
	cleanup(free_at) unsigned char *data = mem_alloc(PIECE);
	struct store_slot slot;
	struct store_piece p;
	size_t at = 0;
	int fd;

	bytes_of(1, 0, PIECE, data);
	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	for (size_t part = 0; at < PIECE; at += part) {
		part = part * 2 + 1 < PIECE - at ? part * 2 + 1 : PIECE - at;
		assert_ok(store_slot_write(&slot, data + at, part, &f->e));
		assert_int_equal(slot.written, at + part);
	}
	assert_int_equal(slot.crc32, crc32_update(0, data, PIECE));
	assert_ok(store_slot_commit(&slot, NULL, STORE_FROM_ORIGIN, 0, &fd, &f->e));
	assert_true(slot.xxh3 == xxh3_of(data, PIECE));
	store_piece_get(t, 0, &p);
	assert_true(p.xxh3 == xxh3_of(data, PIECE));
	assert_int_equal(p.crc32, crc32_update(0, data, PIECE));
	assert_int_equal(p.source, STORE_FROM_ORIGIN);
	assert_true(piece_is_right(t, store_task_fd(t), 1, 0));
	store_task_unref(t);
}

/* In parts of so many bytes: from a block to the end, then from the start to it. */
static void fill_from(struct fixture *f, struct store_task *t, uint32_t index, unsigned block,
		      size_t part, int *volatile_fd)
{
	const struct geometry *g = &store_task_meta(t)->geometry;
	uint32_t len = geometry_length(g, index), begin = block * geometry_block_length(g), left;
	cleanup(free_at) unsigned char *data = mem_alloc(2 * (size_t)len);
	struct store_slot slot;

	bytes_of(1, geometry_offset(g, index), len, data);
	memcpy(data + len, data, len);
	assert_ok(store_slot_open(t, index, &slot, &f->e));
	store_slot_begin_at(&slot, block);
	for (size_t at = 0; at < len; at += part) {
		assert_int_equal(store_slot_block(&slot, &left),
				 (begin + at) % len / geometry_block_length(g));
		assert_true(left > 0 && left <= geometry_block_length(g));
		part = part < len - at ? part : len - at;
		assert_ok(store_slot_write(&slot, data + begin + at, part, &f->e));
	}
	assert_int_equal(slot.crc32, crc32_update(0, data, len));
	assert_ok(store_slot_commit(&slot, NULL, STORE_FROM_PEER, 0, volatile_fd, &f->e));
	if (*volatile_fd < 0)
		assert_true(slot.xxh3 == xxh3_of(data, len));
}

static void assert_blocks(struct store_task *t, uint32_t index)
{
	const struct geometry *g = &store_task_meta(t)->geometry;
	uint32_t len = geometry_length(g, index), block = geometry_block_length(g);
	cleanup(free_at) unsigned char *data = mem_alloc(len);
	uint32_t crc32[PIECE_BLOCKS];
	struct store_piece piece;

	bytes_of(1, geometry_offset(g, index), len, data);
	assert_int_equal(store_piece_get(t, index, &piece), STORE_PRESENT);
	assert_true(store_piece_blocks(t, index, &piece, crc32));
	for (unsigned i = 0; i < geometry_block_count(g, index); i++) {
		uint32_t left = len - i * block;

		assert_int_equal(crc32[i],
				 crc32_update(0, data + i * block, left < block ? left : block));
	}
}

static void a_piece_may_begin_at_any_of_its_blocks(void **state)
{
	struct fixture *f = *state;
	const uint32_t last = PIECE / 3;
	struct store_task *t = task_make(f, 1, 16 * PIECE + last, PIECE);
	int fd;

	for (unsigned block = 0; block < PIECE_BLOCKS; block++)
		fill_from(f, t, block, block, 1 + 7001 * block, &fd);
	fill_from(f, t, 16, 5, last, &fd);
	for (uint32_t i = 0; i < 17; i++) {
		assert_true(piece_is_right(t, store_task_fd(t), 1, i));
		assert_blocks(t, i);
	}
	store_task_unref(t);
	fixture_crash(f);
	t = task_find(f, 1);
	for (uint32_t i = 0; i < 17; i++) {
		assert_int_equal(store_piece_get(t, i, NULL), STORE_UNPROVEN);
		assert_ok(store_piece_prove(t, i, &f->e));
		assert_blocks(t, i);
	}
	store_task_unref(t);
}

static void what_came_before_the_start_is_compared_once_more(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, "");
	cleanup(free_at) unsigned char *data = mem_alloc(PIECE);
	struct store_task *t = task_make(f, 1, PIECE, PIECE);
	uint32_t begin = 5 * geometry_block_length(&store_task_meta(t)->geometry);
	struct store_slot slot;
	int fd;

	bytes_of(1, 0, PIECE, data);
	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	store_slot_begin_at(&slot, 5);
	assert_ok(store_slot_write(&slot, data + begin, PIECE - begin, &f->e));
	assert_ok(store_slot_write(&slot, data, begin, &f->e));
	file_write(path, "\0", 1, begin + 77);
	assert_int_equal(store_slot_commit(&slot, NULL, STORE_FROM_PEER, 0, &fd, &f->e), -EIO);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_ABSENT);
	store_task_unref(t);
}

/* What an earlier version wrote, and what it leaves of ours. */
static void a_record_without_blocks_has_its_pieces(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, ".rec");
	struct store_task *t = task_make(f, 1, 2 * PIECE, PIECE);
	uint32_t crc32[PIECE_BLOCKS];
	struct store_piece piece;
	struct stat st;

	task_fill(f, t, 1);
	store_task_unref(t);
	store_close(f->store);
	assert_ok(stat(path, &st));
	assert_ok(truncate(path, st.st_size - 2 * 64));
	fixture_open(f);
	t = task_find(f, 1);
	assert_int_equal(store_piece_get(t, 0, &piece), STORE_PRESENT);
	assert_false(store_piece_blocks(t, 0, &piece, crc32));
	/* A piece that comes anew has them. */
	store_piece_drop(t, 1);
	assert_int_equal(piece_fill(f, t, 1, 1), -1);
	assert_blocks(t, 1);
	store_task_unref(t);
}

static void damaged_digests_of_blocks_are_not_believed(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, ".rec");
	struct store_task *t = task_make(f, 1, 2 * PIECE, PIECE);
	uint32_t crc32[PIECE_BLOCKS];
	struct store_piece piece, other;
	struct stat st;

	task_fill(f, t, 1);
	assert_ok(stat(path, &st));
	file_write(path, "?", 1, st.st_size - 2 * 64 + 9);
	assert_int_equal(store_piece_get(t, 0, &piece), STORE_PRESENT);
	assert_false(store_piece_blocks(t, 0, &piece, crc32));
	assert_blocks(t, 1);
	/* Nor those of other bytes. */
	store_piece_get(t, 1, &other);
	other.crc32++;
	assert_false(store_piece_blocks(t, 1, &other, crc32));
	store_task_unref(t);
}

static void more_than_the_piece_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 10, 6);
	struct store_slot slot;

	assert_ok(store_slot_open(t, 1, &slot, &f->e));
	assert_int_equal(slot.length, 4);
	assert_ok(store_slot_write(&slot, "abc", 3, &f->e));
	assert_int_equal(store_slot_write(&slot, "de", 2, &f->e), -EMSGSIZE);
	assert_ok(store_slot_write(&slot, "d", 1, &f->e));
	store_slot_abort(&slot);
	store_task_unref(t);
}

static void a_short_piece_is_refused_and_can_be_had_again(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, PIECE, PIECE);
	struct store_slot slot;
	int fd;

	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	assert_ok(store_slot_write(&slot, "abc", 3, &f->e));
	assert_int_equal(store_slot_commit(&slot, NULL, STORE_FROM_PEER, 0, &fd, &f->e), -EBADMSG);
	assert_int_equal(fd, -1);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_ABSENT);
	piece_fill(f, t, 1, 0);
	assert_true(piece_is_right(t, store_task_fd(t), 1, 0));
	store_task_unref(t);
}

static void commit_with_wrong_digest_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 3, 3);
	uint32_t crc = crc32_update(0, "abc", 3), wrong = crc ^ 1;
	struct store_slot slot;
	int fd;

	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	assert_ok(store_slot_write(&slot, "abc", 3, &f->e));
	assert_int_equal(store_slot_commit(&slot, &wrong, STORE_FROM_PEER, 0, &fd, &f->e),
			 -EBADMSG);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_ABSENT);
	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	assert_ok(store_slot_write(&slot, "abc", 3, &f->e));
	assert_ok(store_slot_commit(&slot, &crc, STORE_FROM_PEER, 0, &fd, &f->e));
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_PRESENT);
	store_task_unref(t);
}

static void an_aborted_slot_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, PIECE, PIECE);
	struct store_slot slot;

	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	assert_ok(store_slot_write(&slot, "abc", 3, &f->e));
	store_slot_abort(&slot);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_ABSENT);
	store_task_unref(t);
	fixture_reopen(f);
	t = task_find(f, 1);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_ABSENT);
	store_task_unref(t);
}

static void a_slot_holds_its_task(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 3, 3);
	struct store_slot slot;
	int fd;

	assert_ok(store_slot_open(t, 0, &slot, &f->e));
	store_task_unref(t);
	assert_ok(store_slot_write(&slot, "abc", 3, &f->e));
	assert_ok(store_slot_commit(&slot, NULL, STORE_FROM_PEER, 0, &fd, &f->e));
	t = task_find(f, 1);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_PRESENT);
	store_task_unref(t);
}

/* ---- a disk that refuses, played by the limit on file sizes */

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_ok(getrlimit(RLIMIT_FSIZE, &limit));
	limit.rlim_cur = bytes;
	assert_ok(setrlimit(RLIMIT_FSIZE, &limit));
}

static void a_piece_that_cannot_be_recorded_is_here_for_this_run(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 64 * 10, 10);

	limit_files(1000); /* takes all of the content and some of the record */
	assert_int_equal(piece_fill(f, t, 1, 40), -1);
	assert_int_equal(piece_fill(f, t, 1, 41), -1);
	limit_files(RLIM_INFINITY);
	assert_int_equal(store_piece_get(t, 40, NULL), STORE_PRESENT);
	assert_true(piece_is_right(t, store_task_fd(t), 1, 40));
	store_task_unref(t);
	t = task_find(f, 1);
	assert_int_equal(store_piece_get(t, 40, NULL), STORE_ABSENT);
	store_task_unref(t);
}

static void a_write_that_nothing_takes_fails(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 64 * 10, 10);
	struct store_slot slot;
	int r;

	assert_ok(store_slot_open(t, 40, &slot, &f->e));
	limit_files(100); /* memory files are files */
	r = store_slot_write(&slot, "abc", 3, &f->e);
	limit_files(RLIM_INFINITY);
	assert_int_equal(r, -EFBIG);
	store_slot_abort(&slot);
	assert_int_equal(piece_fill(f, t, 1, 40), -1);
	store_task_unref(t);
}

static void a_task_that_the_disk_refuses_is_not_made(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *content = path_of(f, 1, ""), *record = path_of(f, 1, ".rec");
	struct store_meta m = meta_of(1, 64 * 10, 10);
	struct store_task *t;
	int r;

	for (rlim_t bytes = 100; bytes <= 700; bytes += 600) { /* the content, the record */
		limit_files(bytes);
		r = store_create(f->store, &m, &t, &f->e);
		limit_files(RLIM_INFINITY);
		assert_int_equal(r, -EFBIG);
		assert_false(file_exists(content));
		assert_false(file_exists(record));
		assert_false(task_is_known(f, 1));
	}
	store_task_unref(task_make(f, 1, 64 * 10, 10));
}

/* ---- many at once */

#define THREADS 4

struct worker {
	struct fixture *f;
	struct store_task *t;
	unsigned number;
	unsigned failures;
};

static void *fill_every_fourth(void *arg)
{
	struct worker *w = arg;
	const struct geometry *g = &store_task_meta(w->t)->geometry;
	cleanup(free_at) unsigned char *data = mem_alloc(g->piece_length);

	for (uint32_t i = w->number; i < g->piece_count; i += THREADS) {
		struct store_slot slot;
		struct err e;
		int fd;

		bytes_of(1, geometry_offset(g, i), geometry_length(g, i), data);
		w->failures += store_slot_open(w->t, i, &slot, &e) < 0 ||
			       store_slot_write(&slot, data, slot.length, &e) < 0 ||
			       store_slot_commit(&slot, NULL, STORE_FROM_PEER, 0, &fd, &e) < 0;
		w->failures += store_piece_get(w->t, i, NULL) != STORE_PRESENT;
		store_task_touch(w->t);
	}
	return NULL;
}

static void pieces_of_one_task_are_written_at_once(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 200 * 5000 - 3, 5000);
	struct worker workers[THREADS];
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.f = f, .t = t, .number = i};
		assert_ok(pthread_create(&threads[i], NULL, fill_every_fourth, &workers[i]));
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_ok(pthread_join(threads[i], NULL));
		assert_int_equal(workers[i].failures, 0);
	}
	assert_true(store_task_is_complete(t));
	store_task_unref(t);
	fixture_crash(f);
	t = task_find(f, 1);
	for (uint32_t i = 0; i < 200; i++)
		assert_ok(store_piece_prove(t, i, &f->e));
	store_task_unref(t);
}

/* Makes, finds, fills, removes and evicts a few tasks in any order. */
static void *live_wildly(void *arg)
{
	struct worker *w = arg;
	unsigned seed = w->number;

	for (unsigned round = 0; round < 300; round++) {
		unsigned task = (unsigned)rand_r(&seed) % 3 + 1;
		struct store_meta m = {0};
		struct store_task *t = NULL;
		struct err e;

		id_of(task, m.id);
		geometry_init(&m.geometry, 100, 100);
		if (rand_r(&seed) % 2 == 0) {
			w->failures += store_create(w->f->store, &m, &t, &e) < 0;
		} else {
			int r = store_find(w->f->store, m.id, &t, &e);

			w->failures += r < 0 && r != -ENOENT;
			if (r < 0)
				t = NULL;
		}
		if (!t)
			continue;
		if (rand_r(&seed) % 4 == 0)
			store_task_remove(t);
		if (rand_r(&seed) % 8 == 0)
			store_gc(w->f->store);
		w->failures += store_task_present_count(t) > 1;
		store_task_unref(t);
	}
	return NULL;
}

static void finding_making_and_removing_do_not_meet_halfway(void **state)
{
	struct fixture *f = *state;
	struct worker workers[THREADS];
	pthread_t threads[THREADS];
	struct store_stat st;

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.f = f, .number = i};
		assert_ok(pthread_create(&threads[i], NULL, live_wildly, &workers[i]));
	}
	for (unsigned i = 0; i < THREADS; i++) {
		assert_ok(pthread_join(threads[i], NULL));
		assert_int_equal(workers[i].failures, 0);
	}
	st = stat_of(f);
	fixture_reopen(f);
	assert_int_equal(stat_of(f).tasks, st.tasks);
	assert_int_equal(stat_of(f).bytes, st.bytes);
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_store(nothing_shows_before_commit),
		with_store(little_writes_give_the_sums_of_the_whole),
		with_store(a_piece_may_begin_at_any_of_its_blocks),
		with_store(what_came_before_the_start_is_compared_once_more),
		with_store(a_record_without_blocks_has_its_pieces),
		with_store(damaged_digests_of_blocks_are_not_believed),
		with_store(more_than_the_piece_is_refused),
		with_store(a_short_piece_is_refused_and_can_be_had_again),
		with_store(commit_with_wrong_digest_is_refused),
		with_store(an_aborted_slot_leaves_nothing),
		with_store(a_slot_holds_its_task),
		with_store(a_piece_that_cannot_be_recorded_is_here_for_this_run),
		with_store(a_write_that_nothing_takes_fails),
		with_store(a_task_that_the_disk_refuses_is_not_made),
		with_store(pieces_of_one_task_are_written_at_once),
		with_store(finding_making_and_removing_do_not_meet_halfway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
