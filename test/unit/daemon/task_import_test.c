/* daemon/task_import: a file of this node becomes a task that anybody can read */
#include "daemon/task_import.h"

#include "test/unit/daemon/task_fixture.h"

#include <sys/mman.h>

#define NAME   "an index"
#define LENGTH (9u << 20) /* three pieces of 4 MiB, by the rule */

static int setup(void **state)
{
	return setup_with(state, LENGTH, false);
}

static int make_file(unsigned seed, size_t len)
{
	cleanup(free_at) unsigned char *data = mem_alloc(len + 1);
	int fd = memfd_create("import", MFD_CLOEXEC);

	bytes_of(seed, 0, len, data);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	return fd;
}

static struct task *open_local(struct setting *s)
{
	const struct task_request rq = {.content_for_id = NAME, .local_only = true};

	return open_task(s, &rq);
}

static int state_of(struct setting *s)
{
	const struct task_request rq = {.content_for_id = NAME, .local_only = true};

	return open_error(s, &rq);
}

static void the_content_is_a_complete_task(void **state)
{
	struct setting *s = *state;
	cleanup(close_at) int fd = make_file(SEED, LENGTH);
	struct task *t;

	assert_ok(task_import(s->ts, NAME, fd, &s->e));
	t = open_local(s);
	assert_int_equal(task_meta(t)->geometry.content_length, LENGTH);
	assert_true(task_meta(t)->geometry.piece_count > 1);
	assert_true(task_complete_fd(t) >= 0);
	for (uint32_t i = 0; i < task_meta(t)->geometry.piece_count; i++)
		assert_int_equal(read_piece(t, i), 0);
	assert_int_equal(fake_get(gets), 0); /* nobody was asked */
	task_unref(t);
}

static void a_complete_one_stays_as_it_is(void **state)
{
	struct setting *s = *state;
	cleanup(close_at) int fd = make_file(SEED, LENGTH);
	cleanup(close_at) int other = make_file(SEED + 1, LENGTH);
	struct task *t;

	assert_ok(task_import(s->ts, NAME, fd, &s->e));
	assert_ok(task_import(s->ts, NAME, other, &s->e));
	t = open_local(s);
	assert_int_equal(read_piece(t, 0), 0); /* SEED's */
	task_unref(t);
}

static void a_half_one_is_begun_anew(void **state)
{
	struct setting *s = *state;
	cleanup(close_at) int fd = make_file(SEED, LENGTH);
	struct task_request rq = {.url = URL, .content_for_id = NAME};
	struct task *t = open_task(s, &rq);

	/* Of another length, from somewhere else, and not all of it. */
	assert_int_equal(read_piece(t, 0), 0);
	assert_int_equal(task_complete_fd(t), -1);
	task_unref(t);
	assert_ok(task_import(s->ts, NAME, fd, &s->e));
	t = open_local(s);
	assert_true(task_complete_fd(t) >= 0);
	assert_int_equal(read_piece(t, 2), 0);
	task_unref(t);
}

static void what_cannot_be_read_leaves_nothing(void **state)
{
	struct setting *s = *state;
	cleanup(close_at) int fd = make_file(SEED, LENGTH);
	char path[64];
	cleanup(close_at) int no_reading = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	no_reading = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(task_import(s->ts, NAME, no_reading, &s->e), -EBADF);
	assert_int_equal(state_of(s), ENOENT);
	assert_int_equal(task_import(s->ts, NAME, -1, &s->e), -EBADF);
	assert_int_equal(state_of(s), ENOENT);
}

static void a_full_store_takes_none(void **state)
{
	struct setting *s = *state;
	cleanup(close_at) int fd = make_file(SEED, LENGTH);

	setting_stop(s);
	s->f->config.quota = 5u << 20;
	fixture_reopen(s->f);
	s->config.store = s->f->store;
	setting_start(s);
	assert_int_equal(task_import(s->ts, NAME, fd, &s->e), -EBUSY);
	assert_int_equal(state_of(s), ENOENT);
}

#define import_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		import_test(the_content_is_a_complete_task),
		import_test(a_complete_one_stays_as_it_is),
		import_test(a_half_one_is_begun_anew),
		import_test(what_cannot_be_read_leaves_nothing),
		import_test(a_full_store_takes_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
