/* daemon/store: tasks in the ordinary course of things */
#include "test/unit/daemon/store_fixture.h"

#include <sys/wait.h>

#define PIECE 5000

static void a_task_is_made_filled_and_found_again(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 3 * PIECE - 10, PIECE);
	struct store_piece p;

	assert_ptr_equal(store_task_store(t), f->store);
	assert_int_equal(store_piece_get(t, 0, NULL), STORE_ABSENT);
	assert_int_equal(piece_fill(f, t, 1, 2), -1);
	assert_int_equal(store_piece_get(t, 2, &p), STORE_PRESENT);
	assert_int_equal(p.length, PIECE - 10);
	assert_int_equal(p.source, STORE_FROM_PEER);
	assert_int_equal(p.cost_ms, 7);
	assert_true(p.created_s > 1600000000);
	assert_int_equal(store_task_present_count(t), 1);
	assert_false(store_task_is_complete(t));
	store_task_unref(t);
	t = task_find(f, 1);
	assert_int_equal(store_piece_get(t, 2, &p), STORE_PRESENT);
	piece_fill(f, t, 1, 0);
	piece_fill(f, t, 1, 1);
	assert_true(store_task_is_complete(t));
	store_task_unref(t);
	fixture_reopen(f);
	t = task_find(f, 1);
	assert_true(store_task_is_complete(t));
	for (uint32_t i = 0; i < 3; i++)
		assert_true(piece_is_right(t, store_task_fd(t), 1, i));
	store_task_unref(t);
}

static void what_is_not_there_is_not_found(void **state)
{
	struct fixture *f = *state;
	struct store_task *t;

	assert_false(task_is_known(f, 1));
	assert_int_equal(store_find(f->store, "../../etc/passwd", &t, &f->e), -ENOENT);
	assert_int_equal(store_find(f->store, "", &t, NULL), -ENOENT);
}

static void the_descriptor_is_read_only(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, PIECE, PIECE);

	assert_int_equal(fcntl(store_task_fd(t), F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(lseek(store_task_fd(t), 0, SEEK_END), PIECE);
	store_task_unref(t);
}

static void an_equal_create_finds_the_task(void **state)
{
	struct fixture *f = *state;
	struct store_task *a = task_make(f, 1, 3 * PIECE, PIECE);
	struct store_task *b = task_make(f, 1, 3 * PIECE, PIECE);

	assert_ptr_equal(a, b);
	store_task_unref(a);
	store_task_unref(b);
	a = task_make(f, 1, 3 * PIECE, PIECE);
	store_task_unref(a);
	assert_int_equal(stat_of(f).tasks, 1);
}

static void a_create_with_other_lengths_or_digest_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_meta m = meta_of(1, 3 * PIECE, PIECE);
	struct store_task *t, *other;

	m.digest = digest_of(1, 3 * PIECE);
	assert_ok(store_create(f->store, &m, &t, &f->e));
	free(m.digest);
	m = meta_of(1, 3 * PIECE - 1, PIECE);
	assert_int_equal(store_create(f->store, &m, &other, &f->e), -EEXIST);
	m = meta_of(1, 3 * PIECE, PIECE + 1);
	assert_int_equal(store_create(f->store, &m, &other, &f->e), -EEXIST);
	m = meta_of(1, 3 * PIECE, PIECE);
	m.digest = digest_of(2, 3 * PIECE);
	assert_int_equal(store_create(f->store, &m, &other, &f->e), -EEXIST);
	free(m.digest);
	m.digest = NULL;
	assert_ok(store_create(f->store, &m, &other, &f->e));
	assert_ptr_equal(t, other);
	store_task_unref(t);
	store_task_unref(t);
}

static void a_create_with_nonsense_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_meta m = meta_of(1, 3 * PIECE, PIECE);
	struct store_task *t;

	m.id[3] = '/';
	assert_int_equal(store_create(f->store, &m, &t, &f->e), -EINVAL);
	m = meta_of(1, 3 * PIECE, PIECE);
	m.digest = (char *)"md5:00";
	assert_int_equal(store_create(f->store, &m, &t, &f->e), -EINVAL);
	m.digest = NULL;
	m.geometry.piece_count = 2;
	assert_int_equal(store_create(f->store, &m, &t, &f->e), -EINVAL);
	m.geometry = (struct geometry){UINT64_MAX, 1u << 31, 0};
	assert_int_equal(store_create(f->store, &m, &t, &f->e), -EINVAL);
	m = meta_of(1, 3u << 20, 1);
	assert_int_equal(store_create(f->store, &m, &t, &f->e), -EFBIG);
	m = meta_of(1, 3 * PIECE, PIECE);
	m.headers = mem_alloc(300 << 10);
	memset(m.headers, 'a', (300 << 10) - 1);
	assert_int_equal(store_create(f->store, &m, &t, &f->e), -E2BIG);
	free(m.headers);
	assert_int_equal(stat_of(f).tasks, 0);
}

static void all_that_is_known_survives_a_restart(void **state)
{
	struct fixture *f = *state;
	struct store_meta m = meta_of(1, 3 * PIECE, PIECE);
	const struct store_meta *got;
	struct store_task *t;

	m.url = (char *)"https://registry.example/v2/x/blobs/sha256:00?a=\"b\"";
	m.digest = digest_of(1, 3 * PIECE);
	m.tag = (char *)"caf\xc3\xa9";
	m.application = (char *)"";
	m.headers = (char *)"Content-Type: a/b\nX-Latin: \xe9\xff\x80\n";
	m.created_ms = 1700000000123;
	m.accessed_ms = 1700000001456;
	assert_ok(store_create(f->store, &m, &t, &f->e));
	store_task_unref(t);
	fixture_reopen(f);
	t = task_find(f, 1);
	got = store_task_meta(t);
	assert_string_equal(got->id, m.id);
	assert_memory_equal(&got->geometry, &m.geometry, sizeof(m.geometry));
	assert_string_equal(got->url, m.url);
	assert_string_equal(got->digest, m.digest);
	assert_string_equal(got->tag, m.tag);
	assert_string_equal(got->application, m.application);
	assert_string_equal(got->headers, m.headers);
	assert_int_equal(got->created_ms, m.created_ms);
	assert_int_equal(got->accessed_ms, m.accessed_ms);
	assert_int_equal(got->finished_ms, 0);
	assert_false(got->whole_verified);
	store_task_unref(t);
	free(m.digest);
}

static void a_touch_survives_a_restart(void **state)
{
	struct fixture *f = *state;
	struct store_meta m = meta_of(1, PIECE, PIECE);
	struct store_task *t;
	int64_t touched;

	m.created_ms = m.accessed_ms = 1700000000000;
	assert_ok(store_create(f->store, &m, &t, &f->e));
	store_task_touch(t);
	touched = store_task_meta(t)->accessed_ms;
	assert_true(touched > m.accessed_ms);
	store_task_unref(t);
	fixture_reopen(f);
	t = task_find(f, 1);
	assert_int_equal(store_task_meta(t)->accessed_ms, touched);
	store_task_unref(t);
}

static void empty_content_is_complete_at_once(void **state)
{
	struct fixture *f = *state;
	struct store_meta m = meta_of(1, 0, PIECE);
	struct store_task *t;

	m.digest = digest_of(1, 0);
	assert_ok(store_create(f->store, &m, &t, &f->e));
	assert_true(store_task_is_complete(t));
	assert_false(store_task_is_verified(t));
	assert_ok(store_task_verify_whole(t, &f->e));
	assert_true(store_task_is_verified(t));
	store_task_unref(t);
	fixture_crash(f);
	t = task_find(f, 1);
	assert_true(store_task_is_complete(t));
	assert_true(store_task_is_verified(t));
	store_task_unref(t);
	free(m.digest);
}

static void empty_content_with_another_digest_is_refused(void **state)
{
	struct fixture *f = *state;
	struct store_meta m = meta_of(1, 0, PIECE);
	struct store_task *t;

	m.digest = digest_of(1, 1);
	assert_ok(store_create(f->store, &m, &t, &f->e));
	assert_int_equal(store_task_verify_whole(t, &f->e), -EBADMSG);
	assert_false(store_task_is_verified(t));
	store_task_unref(t);
	free(m.digest);
}

static void a_right_whole_is_verified_for_good(void **state)
{
	struct fixture *f = *state;
	struct store_meta m = meta_of(1, 300 * PIECE - 1, PIECE);
	struct store_task *t;
	int64_t finished;

	m.digest = digest_of(1, m.geometry.content_length);
	assert_ok(store_create(f->store, &m, &t, &f->e));
	assert_int_equal(store_task_verify_whole(t, &f->e), -EINVAL); /* not complete */
	task_fill(f, t, 1);
	assert_false(store_task_is_verified(t));
	assert_ok(store_task_verify_whole(t, &f->e));
	assert_true(store_task_is_verified(t));
	finished = store_task_meta(t)->finished_ms;
	assert_true(finished > 0);
	store_task_unref(t);
	fixture_reopen(f);
	t = task_find(f, 1);
	assert_true(store_task_is_verified(t));
	assert_int_equal(store_task_meta(t)->finished_ms, finished);
	store_task_unref(t);
	free(m.digest);
}

static void a_wrong_whole_drops_every_piece(void **state)
{
	struct fixture *f = *state;
	struct store_meta m = meta_of(1, 3 * PIECE, PIECE);
	struct store_task *t;

	m.digest = digest_of(2, m.geometry.content_length);
	assert_ok(store_create(f->store, &m, &t, &f->e));
	task_fill(f, t, 1);
	assert_int_equal(store_task_verify_whole(t, &f->e), -EBADMSG);
	assert_int_equal(store_task_present_count(t), 0);
	assert_int_equal(stat_of(f).dropped_pieces, 3);
	store_task_unref(t);
	fixture_reopen(f);
	t = task_find(f, 1);
	assert_int_equal(store_task_present_count(t), 0);
	task_fill(f, t, 2);
	assert_ok(store_task_verify_whole(t, &f->e));
	store_task_unref(t);
	free(m.digest);
}

static void without_a_digest_the_whole_is_just_marked(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 3 * PIECE, PIECE);

	task_fill(f, t, 1);
	assert_ok(store_task_verify_whole(t, &f->e));
	assert_true(store_task_is_verified(t));
	store_task_unref(t);
}

static void a_replaced_piece_needs_the_whole_verified_again(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 3 * PIECE, PIECE);

	task_fill(f, t, 1);
	assert_ok(store_task_verify_whole(t, &f->e));
	store_piece_drop(t, 1);
	assert_int_equal(store_piece_get(t, 1, NULL), STORE_ABSENT);
	assert_false(store_task_is_verified(t));
	assert_int_equal(store_task_meta(t)->finished_ms, 0);
	store_piece_drop(t, 1); /* once is enough */
	assert_int_equal(stat_of(f).dropped_pieces, 1);
	piece_fill(f, t, 1, 1);
	assert_true(store_task_is_complete(t));
	assert_false(store_task_is_verified(t));
	store_task_unref(t);
	fixture_reopen(f);
	t = task_find(f, 1);
	assert_true(store_task_is_complete(t));
	assert_false(store_task_is_verified(t));
	store_task_unref(t);
}

/* Even when the drop's own marks were lost: the record of the whole names its pieces. */
static void an_old_mark_of_the_whole_does_not_fit_other_pieces(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) unsigned char *record = NULL;
	cleanup(free_at) char *path = path_of(f, 1, ".rec");
	struct store_task *t = task_make(f, 1, 3 * PIECE, PIECE);
	size_t len;

	task_fill(f, t, 1);
	assert_ok(store_task_verify_whole(t, &f->e));
	record = file_read(path, &len);
	store_piece_drop(t, 1);
	piece_fill(f, t, 2, 1);
	store_task_unref(t);
	file_write(path, record + len - 64, 64, (off_t)len - 64);
	fixture_reopen(f);
	t = task_find(f, 1);
	assert_true(store_task_is_complete(t));
	assert_false(store_task_is_verified(t));
	store_task_unref(t);
}

static void a_removed_task_is_gone_but_for_who_holds_it(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *content = path_of(f, 1, ""), *record = path_of(f, 1, ".rec");
	struct store_task *t = task_make(f, 1, 3 * PIECE, PIECE), *next;

	piece_fill(f, t, 1, 0);
	store_task_ref(t);
	store_task_remove(t);
	store_task_remove(t); /* once more is once */
	assert_false(file_exists(content));
	assert_false(file_exists(record));
	assert_false(task_is_known(f, 1));
	assert_true(piece_is_right(t, store_task_fd(t), 1, 0));
	piece_fill(f, t, 1, 1); /* who writes goes on, too */
	assert_int_equal(store_piece_get(t, 1, NULL), STORE_PRESENT);

	next = task_make(f, 1, 2 * PIECE, PIECE);
	assert_ptr_not_equal(next, t);
	assert_int_equal(store_task_present_count(next), 0);
	store_task_unref(t);
	assert_true(piece_is_right(t, store_task_fd(t), 1, 1));
	store_task_unref(t);
	assert_true(file_exists(content));
	store_task_remove(next);
	store_task_unref(next);
	assert_int_equal(stat_of(f).bytes, 0);
	assert_int_equal(stat_of(f).tasks, 0);
	assert_int_equal(stat_of(f).evicted, 0);
}

struct seen {
	unsigned count;
	uint32_t present;
	uint64_t length;
};

static void see(const struct store_meta *m, uint32_t present, void *arg)
{
	struct seen *s = arg;

	s->count++;
	s->present += present;
	s->length += m->geometry.content_length;
}

static void each_task_is_told(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 3 * PIECE, PIECE);
	struct seen seen = {0};

	store_each(f->store, see, &seen);
	assert_int_equal(seen.count, 1);
	task_fill(f, t, 1);
	store_task_unref(t);
	store_task_unref(task_make(f, 2, 7, PIECE));
	seen = (struct seen){0};
	store_each(f->store, see, &seen);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.present, 3);
	assert_int_equal(seen.length, 3 * PIECE + 7);
	assert_int_equal(stat_of(f).tasks, 2);
	assert_int_equal(stat_of(f).complete, 1);
}

static void bytes_are_what_the_disk_gave(void **state)
{
	struct fixture *f = *state;
	struct store_task *t = task_make(f, 1, 16 << 20, 4 << 20);
	uint64_t one;

	store_task_unref(t);
	assert_true(stat_of(f).bytes <= 64 << 10); /* a sparse file and its record */
	t = task_find(f, 1);
	piece_fill(f, t, 1, 1);
	one = stat_of(f).bytes;
	assert_true(one >= 4 << 20);
	store_task_unref(t);
	assert_true(stat_of(f).bytes >= 4 << 20 && stat_of(f).bytes <= one + (64 << 10));
	one = stat_of(f).bytes;
	fixture_reopen(f);
	assert_int_equal(stat_of(f).bytes, one);
	t = task_find(f, 1);
	store_task_remove(t);
	store_task_unref(t);
	assert_int_equal(stat_of(f).bytes, 0);
}

static void a_second_process_is_refused(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct store *s;
		struct err e;

		_exit(store_open(&f->config, &s, &e) == -EBUSY ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void what_is_not_to_be_kept_is_removed_at_start(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *content = path_of(f, 1, "");
	struct store_task *t = task_make(f, 1, 3 * PIECE, PIECE);

	task_fill(f, t, 1);
	store_task_unref(t);
	f->config.keep = false;
	fixture_reopen(f);
	assert_false(file_exists(content));
	assert_false(task_is_known(f, 1));
	assert_int_equal(stat_of(f).bytes, 0);
}

static void a_directory_is_made_with_its_parents(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *deep = mem_printf("%s/a/b/c", f->dir);
	cleanup(free_at) char *file = mem_printf("%s/lock/d", f->dir);
	struct store_config c = f->config;
	struct store *s;

	c.dir = deep;
	assert_ok(store_open(&c, &s, &f->e));
	store_close(s);
	c.dir = file; /* below a file */
	assert_int_equal(store_open(&c, &s, &f->e), -ENOTDIR);
}

static void a_task_whose_files_were_taken_away_is_not_found(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *content = path_of(f, 1, ""), *record = path_of(f, 1, ".rec");
	struct store_task *t;

	store_task_unref(task_make(f, 1, 3 * PIECE, PIECE));
	assert_ok(unlink(content));
	assert_false(task_is_known(f, 1));
	assert_false(file_exists(record));

	store_task_unref(task_make(f, 1, 3 * PIECE, PIECE));
	assert_ok(truncate(content, 5));
	t = task_make(f, 1, 3 * PIECE, PIECE); /* made anew */
	task_fill(f, t, 1);
	store_task_unref(t);
	assert_int_equal(stat_of(f).tasks, 1);
}

static void a_task_that_cannot_be_made_is_not_known(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *tasks = mem_printf("%s/content/tasks", f->dir);
	struct store_meta m = meta_of(1, PIECE, PIECE);
	struct store_task *t;

	assert_ok(rmdir(tasks));
	assert_int_equal(store_create(f->store, &m, &t, &f->e), -ENOENT);
	assert_int_equal(stat_of(f).tasks, 0);
	assert_int_equal(store_create(f->store, &m, &t, &f->e), -ENOENT);
}

static void files_in_the_place_of_folders_give_way(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *content = mem_printf("%s/content", f->dir);
	cleanup(free_at) char *tasks = mem_printf("%s/tasks", content);
	cleanup(free_at) char *clean = mem_printf("%s/clean", f->dir);

	fixture_stop_unclean(f);
	assert_ok(rmdir(tasks));
	file_write(tasks, "", 0, 0);
	assert_ok(mkdir(clean, 0700));
	fixture_open(f);
	store_task_unref(task_make(f, 1, PIECE, PIECE));
	assert_true(task_is_known(f, 1));
}

static void what_cannot_be_read_is_not_verified(void **state)
{
	struct fixture *f = *state;
	cleanup(free_at) char *content = path_of(f, 1, "");
	struct store_meta m = meta_of(1, 3 * PIECE, PIECE);
	struct store_task *t;

	m.digest = digest_of(1, 3 * PIECE);
	assert_ok(store_create(f->store, &m, &t, &f->e));
	task_fill(f, t, 1);
	assert_ok(truncate(content, PIECE));
	assert_int_equal(store_task_verify_whole(t, &f->e), -EIO);
	assert_int_equal(store_task_present_count(t), 3);
	assert_int_equal(store_piece_prove(t, 2, &f->e), -EBADMSG);
	assert_int_equal(store_piece_get(t, 2, NULL), STORE_ABSENT);
	assert_ok(store_piece_prove(t, 0, &f->e));
	store_task_unref(t);
	free(m.digest);
}

#define with_store(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_store(a_task_is_made_filled_and_found_again),
		cmocka_unit_test_setup_teardown(a_task_is_made_filled_and_found_again,
						fixture_setup_disk, fixture_teardown),
		with_store(what_is_not_there_is_not_found),
		with_store(the_descriptor_is_read_only),
		with_store(an_equal_create_finds_the_task),
		with_store(a_create_with_other_lengths_or_digest_is_refused),
		with_store(a_create_with_nonsense_is_refused),
		with_store(all_that_is_known_survives_a_restart),
		with_store(a_touch_survives_a_restart),
		with_store(empty_content_is_complete_at_once),
		with_store(empty_content_with_another_digest_is_refused),
		with_store(a_right_whole_is_verified_for_good),
		with_store(a_wrong_whole_drops_every_piece),
		with_store(without_a_digest_the_whole_is_just_marked),
		with_store(a_replaced_piece_needs_the_whole_verified_again),
		with_store(an_old_mark_of_the_whole_does_not_fit_other_pieces),
		with_store(a_removed_task_is_gone_but_for_who_holds_it),
		with_store(each_task_is_told),
		with_store(bytes_are_what_the_disk_gave),
		cmocka_unit_test_setup_teardown(bytes_are_what_the_disk_gave, fixture_setup_disk,
						fixture_teardown),
		with_store(a_second_process_is_refused),
		with_store(what_is_not_to_be_kept_is_removed_at_start),
		with_store(a_directory_is_made_with_its_parents),
		with_store(a_task_that_cannot_be_made_is_not_known),
		with_store(files_in_the_place_of_folders_give_way),
		with_store(what_cannot_be_read_is_not_verified),
		with_store(a_task_whose_files_were_taken_away_is_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
