/* daemon/task_wait: workers that wait, over real tasks and a fake origin */
#include "daemon/task_wait.h"

#include "test/unit/daemon/task_fixture.h"

#define COUNT  5
#define LENGTH (4 * PIECE + 5)
#define LONG   (INT64_C(3600) * 1000)

static bool stopping;

static int setup(void **state)
{
	__atomic_store_n(&stopping, false, __ATOMIC_RELAXED);
	return setup_with(state, LENGTH, false);
}

static struct task_wait for_long(void)
{
	return (struct task_wait){.deadline_ms = clock_ms() + LONG, .stopping = &stopping};
}

static struct task_wait for_no_time(void)
{
	return (struct task_wait){.deadline_ms = clock_ms(), .stopping = &stopping};
}

static void the_whole_comes_with_a_descriptor(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	const struct task_wait w = for_long();
	unsigned char got[5], want[5];
	int fd = -1;

	assert_int_equal(task_wait_complete(t, TASK_REST, &w, &fd, &s->e), 0);
	assert_int_equal(fd, task_complete_fd(t));
	bytes_of(SEED, LENGTH - 5, 5, want);
	assert_int_equal(pread(fd, got, 5, LENGTH - 5), 5);
	assert_memory_equal(got, want, 5);
	task_unref(t);
}

static void a_wait_for_the_whole_ends_at_its_deadline(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	const struct task_wait w = for_no_time();
	int fd = 0;

	fake_set(fake.held = true);
	assert_int_equal(task_wait_complete(t, TASK_REST, &w, &fd, &s->e), -ETIMEDOUT);
	assert_int_equal(fd, -1);
	fake_set(fake.held = false);
	task_unref(t);
}

static void a_wait_for_the_whole_says_why_it_failed(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	const struct task_wait w = for_long();
	int fd = 0;

	fake_set(fake.get_error = EACCES);
	assert_int_equal(task_wait_complete(t, TASK_URGENT, &w, &fd, &s->e), -EACCES);
	assert_int_equal(fd, -1);
	assert_true(strlen(s->e.text) > 0);
	task_unref(t);
}

static void a_piece_that_is_there_is_not_waited_for(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	const struct task_wait w = for_no_time();

	assert_int_equal(read_piece(t, 4), 0);
	assert_int_equal(task_wait_piece(t, 4, &w, &s->e), 0);
	task_unref(t);
}

static void waiting_for_a_piece_wants_nothing(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	const struct task_wait w = for_no_time();

	assert_int_equal(task_wait_piece(t, 4, &w, &s->e), -ETIMEDOUT);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

struct waiting {
	struct task *t;
	pthread_t thread;
	int result;
	char data[1000];
	struct err e;
};

static void *wait_for_piece(void *arg)
{
	struct waiting *w = arg;
	const struct task_wait how = for_long();

	w->result = task_wait_piece(w->t, 3, &how, &w->e);
	return NULL;
}

static void *read_bytes(void *arg)
{
	struct waiting *w = arg;

	w->result = task_read_wait(w->t, 0, w->data, sizeof(w->data), &stopping, &w->e);
	return NULL;
}

static void start(struct waiting *w, struct task *t, void *(*fn)(void *))
{
	*w = (struct waiting){.t = t, .result = 1};
	assert_int_equal(pthread_create(&w->thread, NULL, fn, w), 0);
}

static int finish(struct waiting *w)
{
	assert_int_equal(pthread_join(w->thread, NULL), 0);
	return w->result;
}

static void a_piece_that_another_fetches_wakes_the_waiter(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct waiting w;

	start(&w, t, wait_for_piece);
	task_want_all(t, TASK_REST);
	assert_int_equal(finish(&w), 0);
	assert_true(task_piece_ready(t, 3));
	task_unref(t);
}

static void a_stopping_daemon_ends_the_wait_for_a_piece(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct waiting w;

	start(&w, t, wait_for_piece);
	__atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
	assert_int_equal(finish(&w), -ECANCELED);
	task_unref(t);
}

/* ---- reading */

static void a_read_goes_over_pieces(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	cleanup(free_at) unsigned char *got = mem_alloc(LENGTH);
	cleanup(free_at) unsigned char *want = mem_alloc(LENGTH);

	bytes_of(SEED, 0, LENGTH, want);
	assert_int_equal(task_read_wait(t, 0, got, LENGTH, &stopping, &s->e), 0);
	assert_memory_equal(got, want, LENGTH);
	assert_int_equal(task_read_wait(t, PIECE - 3, got, 7, &stopping, &s->e), 0);
	assert_memory_equal(got, want + PIECE - 3, 7);
	assert_int_equal(task_read_wait(t, 9, got, 0, &stopping, &s->e), 0);
	assert_int_equal(task_follow_wait(t, 2 * PIECE - 3, got, 7, &stopping, &s->e), 0);
	assert_memory_equal(got, want + 2 * PIECE - 3, 7);
	task_unref(t);
}

static void a_read_says_why_it_failed(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	char got[10];

	fake_set(fake.get_error = ENOENT);
	assert_int_equal(task_read_wait(t, 0, got, sizeof(got), &stopping, &s->e), -ENOENT);
	assert_true(strlen(s->e.text) > 0);
	task_unref(t);
}

static void a_stopping_daemon_takes_a_read_back(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct waiting w;

	fake_set(fake.held = true);
	start(&w, t, read_bytes);
	await(stat_now(s).waiters == 1);
	__atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
	assert_int_equal(finish(&w), -ECANCELED);
	assert_int_equal(stat_now(s).waiters, 0);
	fake_set(fake.held = false);
	task_unref(t);
}

#define wait_test(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		wait_test(the_whole_comes_with_a_descriptor),
		wait_test(a_wait_for_the_whole_ends_at_its_deadline),
		wait_test(a_wait_for_the_whole_says_why_it_failed),
		wait_test(a_piece_that_is_there_is_not_waited_for),
		wait_test(waiting_for_a_piece_wants_nothing),
		wait_test(a_piece_that_another_fetches_wakes_the_waiter),
		wait_test(a_stopping_daemon_ends_the_wait_for_a_piece),
		wait_test(a_read_goes_over_pieces),
		wait_test(a_read_says_why_it_failed),
		wait_test(a_stopping_daemon_takes_a_read_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
