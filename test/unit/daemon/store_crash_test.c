/* daemon/store: what is left after a kill, a power loss or somebody's hands */
#include "test/unit/daemon/store_fixture.h"

#include "daemon/store_record.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define PIECE  5000
#define COUNT  4
#define LENGTH (COUNT * PIECE - 77)

static void task_made_whole(struct fixture *f, unsigned seed)
{
	struct store_meta m = meta_of(seed, LENGTH, PIECE);
	struct store_task *t;

	m.digest = digest_of(seed, LENGTH);
	assert_ok(store_create(f->store, &m, &t, &f->e));
	task_fill(f, t, seed);
	assert_ok(store_task_verify_whole(t, &f->e));
	store_task_unref(t);
	free(m.digest);
}

/* Every piece that proves right has the right bytes, and nothing is believed unproven. Returns how
 * many there are. */
static unsigned pieces_left(struct fixture *f, unsigned seed)
{
	struct store_task *t = task_find(f, seed);
	unsigned left = 0;

	for (uint32_t i = 0; i < store_task_meta(t)->geometry.piece_count; i++) {
		if (store_piece_get(t, i, NULL) == STORE_ABSENT)
			continue;
		assert_int_equal(store_piece_get(t, i, NULL), STORE_UNPROVEN);
		if (store_piece_prove(t, i, &f->e) < 0) {
			assert_int_equal(f->e.code, EBADMSG);
			assert_int_equal(store_piece_get(t, i, NULL), STORE_ABSENT);
			continue;
		}
		assert_int_equal(store_piece_get(t, i, NULL), STORE_PRESENT);
		assert_true(piece_is_right(t, store_task_fd(t), seed, i));
		left++;
	}
	store_task_unref(t);
	return left;
}

/* ---- proving */

static void after_an_unclean_stop_pieces_are_proven_not_fetched(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;

	task_made_whole(f, 1);
	fixture_crash(f);
	t = task_find(f, 1);
	assert_int_equal(store_task_present_count(t), 0);
	assert_false(store_task_is_complete(t));
	assert_false(store_task_is_verified(t));
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(store_piece_get(t, i, NULL), STORE_UNPROVEN);
		assert_false(store_task_is_verified(t));
		assert_ok(store_piece_prove(t, i, &f->e));
		assert_int_equal(store_piece_get(t, i, NULL), STORE_PRESENT);
	}
	assert_true(store_task_is_verified(t)); /* the same pieces that were verified as a whole */
	assert_ok(store_piece_prove(t, 0, &f->e));
	assert_int_equal(store_task_present_count(t), COUNT);
	store_task_unref(t);
	t = task_find(f, 1); /* proven once per run */
	assert_true(store_task_is_verified(t));
	store_task_unref(t);
	fixture_crash(f);
	assert_int_equal(pieces_left(f, 1), COUNT);
}

static void a_clean_stop_does_not_launder_what_nobody_proved(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;

	task_made_whole(f, 1);
	fixture_crash(f);
	t = task_find(f, 1);
	assert_ok(store_piece_prove(t, 2, &f->e));
	store_task_unref(t);
	for (int i = 0; i < 3; i++) {
		fixture_reopen(f);
		t = task_find(f, 1);
		assert_int_equal(store_piece_get(t, 1, NULL), STORE_UNPROVEN);
		assert_int_equal(store_piece_get(t, 2, NULL), STORE_PRESENT);
		assert_int_equal(store_task_present_count(t), 1);
		store_task_unref(t);
	}
}

static void an_absent_piece_cannot_be_proven(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, LENGTH, PIECE);

	assert_int_equal(store_piece_prove(t, 0, &f->e), -ENOENT);
	store_task_unref(t);
}

static void damaged_bytes_cost_their_piece(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, "");
	struct store_task *t;

	task_made_whole(f, 1);
	fixture_stop_unclean(f);
	file_write(path, "\0", 1, 2 * PIECE + 17); /* bytes are never 0 */
	fixture_open(f);
	t = task_find(f, 1);
	assert_int_equal(store_piece_prove(t, 2, &f->e), -EBADMSG);
	assert_int_equal(store_piece_get(t, 2, NULL), STORE_ABSENT);
	assert_int_equal(stat_of(f).dropped_pieces, 1);
	store_task_unref(t);
	assert_int_equal(pieces_left(f, 1), COUNT - 1);
	t = task_find(f, 1);
	piece_fill(f, t, 1, 2);
	assert_true(store_task_is_complete(t));
	assert_false(store_task_is_verified(t));
	assert_ok(store_task_verify_whole(t, &f->e));
	store_task_unref(t);
}

static void rot_under_a_present_piece_is_found_by_proving_it_again(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, "");
	struct store_task *t;

	task_made_whole(f, 1);
	file_write(path, "\0", 1, 0);
	t = task_find(f, 1);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_PRESENT);
	assert_int_equal(store_piece_prove(t, 0, &f->e), -EBADMSG);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_ABSENT);
	store_task_unref(t);
}

static void an_unproven_piece_can_be_fetched_instead(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;

	task_made_whole(f, 1);
	fixture_crash(f);
	t = task_find(f, 1);
	piece_fill(f, t, 1, 0);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_PRESENT);
	store_task_unref(t);
	fixture_reopen(f);
	t = task_find(f, 1);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_PRESENT);
	assert_int_equal(store_piece_get(t, 1, NULL), STORE_UNPROVEN);
	store_task_unref(t);
}

static void a_damaged_mark_is_none(void **state)
{
	static const char *const marks[] = {"",
					    "0",
					    "0000000000000000\n",
					    "00000000000000zz\n",
					    "1111111111111111\n",
					    "1111111111111111"};
	struct fixture *f = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/clean", f->dir);
	task_made_whole(f, 1);
	for (size_t i = 0; i < array_len(marks); i++) {
		fixture_stop_unclean(f);
		file_write(path, marks[i], strlen(marks[i]), 0);
		fixture_open(f);
		assert_false(file_exists(path));
		assert_int_equal(pieces_left(f, 1), COUNT);
	}
}

/* ---- records that were changed */

static void every_flipped_bit_of_an_entry_costs_that_piece_only(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, ".rec");
	cleanup(free_at) unsigned char *record = NULL;
	size_t len, entry;

	task_made_whole(f, 1);
	record = file_read(path, &len);
	entry = len - (2 * COUNT + 1 - 1) * STORE_PLACE_SIZE; /* of piece 1 */
	for (size_t bit = 0; bit < STORE_PLACE_SIZE * 8; bit++) {
		unsigned char *at = &record[entry + bit / 8];

		*at ^= (unsigned char)(1 << bit % 8);
		fixture_stop_unclean(f);
		file_write(path, record, len, 0);
		fixture_open(f);
		assert_int_equal(stat_of(f).torn_entries, 1);
		assert_int_equal(pieces_left(f, 1), COUNT - 1);
		assert_int_equal(stat_of(f).torn_entries, 1);
		*at ^= (unsigned char)(1 << bit % 8);
	}
	fixture_crash(f); /* told once, cleaned */
	assert_int_equal(stat_of(f).torn_entries, 0);
}

static void every_damaged_byte_of_a_head_costs_that_task_only(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, ".rec"), *content = path_of(f, 1, "");
	cleanup(free_at) unsigned char *record = NULL;
	size_t len, head;

	task_made_whole(f, 1);
	task_made_whole(f, 2);
	record = file_read(path, &len);
	head = STORE_PREFIX_SIZE + strlen((char *)record + STORE_PREFIX_SIZE);
	for (size_t i = 0; i < head; i++) {
		if (i >= 20 && i < STORE_PREFIX_SIZE)
			continue; /* means nothing yet */
		fixture_stop_unclean(f);
		record[i] ^= 0x10;
		file_write(path, record, len, 0);
		record[i] ^= 0x10;
		file_write(content, "x", 1, LENGTH - 1);
		fixture_open(f);
		assert_false(task_is_known(f, 1));
		assert_false(file_exists(path));
		assert_false(file_exists(content));
		assert_true(task_is_known(f, 2));
	}
	assert_int_equal(pieces_left(f, 2), COUNT);
}

static void a_record_cut_anywhere_costs_what_was_cut(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, ".rec");
	cleanup(free_at) unsigned char *record = NULL;
	size_t len, table;

	task_made_whole(f, 1);
	record = file_read(path, &len);
	table = len - (2 * COUNT + 1) * STORE_PLACE_SIZE;
	for (size_t cut = len - 1; cut > table; cut--) {
		size_t end = cut; /* zeros that were cut are as good as there */
		unsigned left;

		while (end < len && record[end] == 0)
			end++;
		left = (unsigned)((end - table) / STORE_PLACE_SIZE);
		fixture_stop_unclean(f);
		file_write(path, record, len, 0);
		assert_ok(truncate(path, (off_t)cut));
		fixture_open(f);
		assert_int_equal(pieces_left(f, 1), left < COUNT ? left : COUNT);
	}
	for (size_t cut = 0; cut < table; cut++) {
		fixture_stop_unclean(f);
		file_write(path, record, len, 0);
		assert_ok(truncate(path, (off_t)cut));
		fixture_open(f);
		if (task_is_known(f, 1)) /* only padding was cut */
			assert_int_equal(pieces_left(f, 1), 0);
		else
			task_made_whole(f, 1);
	}
}

static void a_record_with_something_behind_it_is_repaired(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, ".rec");
	struct stat before, after;

	task_made_whole(f, 1);
	assert_ok(stat(path, &before));
	fixture_stop_unclean(f);
	file_write(path, "garbage", 7, before.st_size + 5000);
	fixture_open(f);
	assert_int_equal(pieces_left(f, 1), COUNT);
	assert_ok(stat(path, &after));
	assert_int_equal(after.st_size, before.st_size);
}

static void an_entry_in_another_place_is_torn(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, ".rec"), *other = path_of(f, 2, ".rec");
	cleanup(free_at) unsigned char *record = NULL, *foreign = NULL;
	size_t len, table;

	task_made_whole(f, 1);
	task_made_whole(f, 2);
	record = file_read(path, &len);
	foreign = file_read(other, &len);
	table = len - (2 * COUNT + 1) * STORE_PLACE_SIZE;
	fixture_stop_unclean(f);
	file_write(path, record + table, STORE_PLACE_SIZE, (off_t)(table + STORE_PLACE_SIZE));
	file_write(path, foreign + table + 2 * STORE_PLACE_SIZE, STORE_PLACE_SIZE,
		   (off_t)(table + 2 * STORE_PLACE_SIZE));
	fixture_open(f);
	assert_int_equal(stat_of(f).torn_entries, 2);
	assert_int_equal(pieces_left(f, 1), COUNT - 2);
}

static void a_record_changed_under_a_running_store_is_not_believed(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, ".rec"), *content = path_of(f, 1, "");
	struct store_task *t;
	struct stat st;

	task_made_whole(f, 1);
	assert_ok(stat(path, &st));
	file_write(path, "\xff\xff\xff", 3,
		   st.st_size - (COUNT + 3) * STORE_PLACE_SIZE); /* of piece 2 */
	t = task_find(f, 1);
	assert_int_equal(store_piece_get(t, 2, NULL), STORE_ABSENT);
	assert_int_equal(store_task_present_count(t), COUNT - 1);
	assert_false(store_task_is_verified(t));
	assert_int_equal(stat_of(f).torn_entries, 1);
	store_task_unref(t);

	file_write(path, "\xff", 1, 0);
	assert_false(task_is_known(f, 1));
	assert_false(file_exists(content));

	task_made_whole(f, 1);
	assert_ok(unlink(path));
	assert_false(task_is_known(f, 1));
	assert_false(file_exists(content));
	assert_int_equal(stat_of(f).bytes, 0);
}

/* ---- content that was changed */

static void content_of_another_length_is_compared_first(void **state)
{
	static const off_t lengths[] = {0, 1, PIECE, PIECE + 1, LENGTH - 1, LENGTH + 1000};
	struct fixture *f = *state;
	cleanup(free_at) char *path = path_of(f, 1, "");
	struct stat st;

	for (size_t i = 0; i < array_len(lengths); i++) {
		unsigned left = lengths[i] >= LENGTH ? COUNT : (unsigned)(lengths[i] / PIECE);
		struct store_task *t;

		task_made_whole(f, 1);
		store_close(f->store);
		assert_ok(truncate(path, lengths[i]));
		fixture_open(f); /* a clean stop, but the file says otherwise */
		assert_ok(stat(path, &st));
		assert_int_equal(st.st_size, LENGTH);
		fixture_reopen(f);
		assert_int_equal(pieces_left(f, 1), left);
		t = task_find(f, 1);
		store_task_remove(t);
		store_task_unref(t);
	}
}

static void content_without_a_record_and_the_reverse_are_removed(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *content1 = path_of(f, 1, ""), *record1 = path_of(f, 1, ".rec");
	cleanup(free_at) char *content2 = path_of(f, 2, ""), *record2 = path_of(f, 2, ".rec");

	task_made_whole(f, 1);
	task_made_whole(f, 2);
	task_made_whole(f, 3);
	fixture_stop_unclean(f);
	assert_ok(unlink(record1));
	assert_ok(unlink(content2));
	fixture_open(f);
	assert_int_equal(stat_of(f).tasks, 1);
	assert_false(file_exists(content1));
	assert_false(file_exists(record2));
	assert_int_equal(pieces_left(f, 3), COUNT);
}

/* ---- what is none of ours */

static void make_garbage(const struct fixture *f, const char *folder, const char *name)
{
	cleanup(free_at) char *path = mem_printf("%s/content/tasks/%s/%s", f->dir, folder, name);

	file_write(path, "garbage", 7, 0);
}

static void odd_files_do_not_keep_it_from_starting(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *record = path_of(f, 9, ".rec"), *content = path_of(f, 9, "");
	cleanup(free_at) char *tasks = mem_printf("%s/content/tasks", f->dir);
	cleanup(free_at) char *sub = mem_printf("%s/xyz", tasks);
	cleanup(free_at) char *link = mem_printf("%s/link", tasks);
	cleanup(free_at) char *kept = mem_printf("%s/xyz/dear", tasks);
	char id[STORE_ID_LEN + 1], name[STORE_ID_LEN + 16], folder[4];

	task_made_whole(f, 1);
	id_of(9, id);
	snprintf(folder, sizeof(folder), "%.3s", id);
	fixture_stop_unclean(f);
	make_garbage(f, "xyz", "dear");
	make_garbage(f, ".", "file");
	make_garbage(f, "abc", "short");
	make_garbage(f, id[0] == '0' ? "1ff" : "0ff", id); /* in the wrong folder */
	snprintf(name, sizeof(name), "%s.rec.tmp", id);
	make_garbage(f, folder, name);
	snprintf(name, sizeof(name), "%s.recx", id);
	make_garbage(f, folder, name);
	assert_ok(symlink("/etc/passwd", link));
	assert_ok(symlink("/etc/passwd", content));
	assert_ok(mkdir(record, 0700));
	fixture_open(f);
	assert_int_equal(stat_of(f).tasks, 1);
	assert_int_equal(pieces_left(f, 1), COUNT);
	assert_true(file_exists(kept)); /* a folder with something in it may be dear to somebody */
	assert_ok(unlink(kept));
	assert_ok(rmdir(sub));
	assert_false(file_exists(link));
	assert_false(file_exists(content));
	assert_true(file_exists("/etc/passwd"));
	task_made_whole(f, 9);
	fixture_crash(f);
	assert_int_equal(pieces_left(f, 9), COUNT);
}

static void a_pipe_or_a_link_instead_of_a_file_is_no_task(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *record1 = path_of(f, 1, ".rec"), *record2 = path_of(f, 2, ".rec");
	cleanup(free_at) char *content3 = path_of(f, 3, ""), *content4 = path_of(f, 4, "");

	for (unsigned seed = 1; seed <= 5; seed++)
		task_made_whole(f, seed);
	fixture_stop_unclean(f);
	assert_ok(unlink(record1));
	assert_ok(mkfifo(record1, 0600));
	assert_ok(unlink(record2));
	assert_ok(symlink("/etc/passwd", record2));
	assert_ok(unlink(content3));
	assert_ok(mkfifo(content3, 0600));
	assert_ok(unlink(content4));
	assert_ok(symlink("/etc/passwd", content4));
	fixture_open(f);
	assert_int_equal(stat_of(f).tasks, 1);
	assert_int_equal(pieces_left(f, 5), COUNT);
}

/* ---- kill -9 */

#define KILL_TASKS 6
#define WILL_DROP  (1u << 31)

struct said {
	uint32_t task, index; /* index | WILL_DROP before a drop, index after the piece is there */
};

static void say(int fd, uint32_t task, uint32_t index)
{
	struct said said = {task, index};

	if (write(fd, &said, sizeof(said)) != sizeof(said))
		_exit(1);
}

/* Sees to it that the piece is there. */
static void have_piece(struct store_task *t, uint32_t task, uint32_t index)
{
	unsigned char data[PIECE];
	struct store_slot slot;
	struct err e;
	int fd;

	if (store_piece_get(t, index, NULL) == STORE_UNPROVEN &&
	    store_piece_prove(t, index, &e) < 0)
		_exit(2); /* no power was lost */
	if (store_piece_get(t, index, NULL) == STORE_PRESENT)
		return;
	if (store_slot_open(t, index, &slot, &e) < 0)
		_exit(3);
	bytes_of(task, (uint64_t)index * PIECE, slot.length, data);
	if (store_slot_write(&slot, data, slot.length / 2, &e) < 0 ||
	    store_slot_write(&slot, data + slot.written, slot.length - slot.written, &e) < 0 ||
	    store_slot_commit(&slot, NULL, STORE_FROM_PEER, 0, &fd, &e) < 0)
		_exit(4);
}

/* A child's life. */
static void fill_until_killed(const struct fixture *f, unsigned seed, int say_fd)
{
	struct store *s;
	struct err e;

	if (store_open(&f->config, &s, &e) < 0)
		_exit(5);
	for (;;) {
		uint32_t task = (uint32_t)rand_r(&seed) % KILL_TASKS + 1;
		uint32_t index = (uint32_t)rand_r(&seed) % COUNT;
		struct store_meta m = meta_of(task, LENGTH, PIECE);
		struct store_task *t;

		if (store_create(s, &m, &t, &e) < 0)
			_exit(6);
		if (store_piece_get(t, index, NULL) == STORE_PRESENT && rand_r(&seed) % 4 == 0) {
			say(say_fd, task, index | WILL_DROP);
			store_piece_drop(t, index);
		}
		have_piece(t, task, index);
		say(say_fd, task, index);
		if (store_task_is_complete(t) && store_task_verify_whole(t, &e) < 0)
			_exit(7);
		store_task_unref(t);
	}
}

/* Kills the child after it said so much, and hears what else it said. */
static void kill_after(pid_t child, unsigned words, int hear_fd, bool there[][COUNT])
{
	struct said said;
	int status;

	for (unsigned i = 0; read(hear_fd, &said, sizeof(said)) == sizeof(said); i++) {
		there[said.task][said.index % WILL_DROP] = said.index < WILL_DROP;
		if (i == words)
			kill(child, SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void check_what_was_said(struct fixture *f, unsigned task, const bool there[COUNT])
{
	struct store_task *t;

	for (uint32_t i = 0; i < COUNT; i++) {
		if (!there[i])
			continue;
		t = task_find(f, task);
		assert_int_equal(store_piece_get(t, i, NULL), STORE_UNPROVEN);
		store_task_unref(t);
	}
	if (task_is_known(f, task))
		pieces_left(f, task);
}

static void whatever_was_acknowledged_survives_kill_9(void **state)
{
	struct fixture *f = *state;
	unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();
	bool there[KILL_TASKS + 1][COUNT] = {{false}};

	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 40; round++) {
		int pipe_fd[2];
		pid_t child;

		fixture_stop_unclean(f);
		assert_ok(pipe(pipe_fd));
		child = fork();
		if (child == 0) {
			close(pipe_fd[0]);
			fill_until_killed(f, seed + round, pipe_fd[1]);
		}
		close(pipe_fd[1]);
		kill_after(child, (unsigned)rand_r(&seed) % 60, pipe_fd[0], there);
		close(pipe_fd[0]);
		fixture_open(f);
		for (unsigned task = 1; task <= KILL_TASKS; task++)
			check_what_was_said(f, task, there[task]);
		assert_int_equal(stat_of(f).torn_entries, 0);
		assert_int_equal(stat_of(f).dropped_pieces, 0); /* each proved right */
	}
}

/* ---- power loss: any block of any file may be as it never was written */

static void lose_blocks(const char *path, unsigned *seed)
{
	static const char zeros[512];
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	for (off_t at = 0; at < st.st_size; at += 512) {
		size_t len = st.st_size - at < 512 ? (size_t)(st.st_size - at) : 512;

		if (rand_r(seed) % 40 == 0)
			file_write(path, zeros, len, at);
	}
	if (rand_r(seed) % 10 == 0)
		assert_ok(truncate(path, (off_t)((unsigned)rand_r(seed) % (st.st_size + 1))));
	if (rand_r(seed) % 20 == 0)
		assert_ok(unlink(path));
}

static void after_a_power_loss_no_wrong_byte_is_proven(void **state)
{
	struct fixture *f = *state;
	unsigned seed = (unsigned)time(NULL) ^ (unsigned)getpid();
	unsigned left = 0;

	print_message("seed %u\n", seed);
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned task = 1; task <= 3; task++) {
			struct store_task *t = task_make(f, task, LENGTH, PIECE);

			for (uint32_t i = 0; i < COUNT; i++) {
				if (store_piece_get(t, i, NULL) == STORE_UNPROVEN &&
				    store_piece_prove(t, i, &f->e) < 0)
					assert_int_equal(f->e.code, EBADMSG);
				if (store_piece_get(t, i, NULL) == STORE_ABSENT)
					piece_fill(f, t, task, i);
			}
			assert_ok(store_task_verify_whole(t, &f->e));
			store_task_unref(t);
		}
		fixture_stop_unclean(f);
		for (unsigned task = 1; task <= 3; task++) {
			cleanup(free_at) char *content = path_of(f, task, "");
			cleanup(free_at) char *record = path_of(f, task, ".rec");

			lose_blocks(content, &seed);
			lose_blocks(record, &seed);
		}
		fixture_open(f);
		for (unsigned task = 1; task <= 3; task++)
			if (task_is_known(f, task))
				left += pieces_left(f, task);
	}
	assert_true(left > 0);
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_store(after_an_unclean_stop_pieces_are_proven_not_fetched),
		with_store(a_clean_stop_does_not_launder_what_nobody_proved),
		with_store(an_absent_piece_cannot_be_proven),
		with_store(damaged_bytes_cost_their_piece),
		with_store(rot_under_a_present_piece_is_found_by_proving_it_again),
		with_store(an_unproven_piece_can_be_fetched_instead),
		with_store(a_damaged_mark_is_none),
		with_store(every_flipped_bit_of_an_entry_costs_that_piece_only),
		with_store(every_damaged_byte_of_a_head_costs_that_task_only),
		with_store(a_record_cut_anywhere_costs_what_was_cut),
		with_store(a_record_with_something_behind_it_is_repaired),
		with_store(an_entry_in_another_place_is_torn),
		with_store(a_record_changed_under_a_running_store_is_not_believed),
		with_store(content_of_another_length_is_compared_first),
		with_store(content_without_a_record_and_the_reverse_are_removed),
		with_store(odd_files_do_not_keep_it_from_starting),
		with_store(a_pipe_or_a_link_instead_of_a_file_is_no_task),
		with_store(whatever_was_acknowledged_survives_kill_9),
		with_store(after_a_power_loss_no_wrong_byte_is_proven),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
