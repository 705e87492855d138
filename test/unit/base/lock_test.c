/* base/lock and base/clock: order, guards, waits with a deadline. */
#include "test/unit/unit.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/pool.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct lock low, high;
static struct cond cond;

static int setup(void **state)
{
	(void)state;
	lock_init(&low, 10);
	lock_init(&high, 20);
	cond_init(&cond);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	clock_fake(NULL);
	cond_release(&cond);
	lock_release(&low);
	lock_release(&high);
	return 0;
}

/* How a child that runs fn ends: its signal, or 0. */
static int signal_of(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit none = {0, 0};

		/* The complaint is expected: it need not be seen, nor dumped. */
		setrlimit(RLIMIT_CORE, &none);
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void take_in_order(void)
{
	lock_take(&low);
	lock_take(&high);
	lock_drop(&low);
	lock_drop(&high);
	lock_take(&low);
	lock_drop(&low);
}

static void take_against_order(void)
{
	lock_take(&high);
	lock_take(&low);
}

static void take_twice(void)
{
	lock_take(&low);
	lock_take(&low);
}

static void drop_untaken(void)
{
	lock_take(&low);
	lock_drop(&high);
}

static void wrong_order_aborts_and_right_order_does_not(void **state)
{
	(void)state;
	assert_int_equal(signal_of(take_in_order), 0);
	assert_int_equal(signal_of(take_against_order), SIGABRT);
	assert_int_equal(signal_of(take_twice), SIGABRT);
	assert_int_equal(signal_of(drop_untaken), SIGABRT);
}

static int guarded(int *value)
{
	lock_guard(&low);
	if (*value)
		return *value;
	{
		lock_guard(&high);
		*value = 5;
	}
	return *value;
}

static void guards_drop_on_every_way_out(void **state)
{
	int value = 0;

	(void)state;
	assert_int_equal(guarded(&value), 5);
	assert_int_equal(guarded(&value), 5);
	/* Free again, or this would not come back. */
	assert_int_equal(pthread_mutex_trylock(&low.mutex), 0);
	pthread_mutex_unlock(&low.mutex);
	assert_int_equal(pthread_mutex_trylock(&high.mutex), 0);
	pthread_mutex_unlock(&high.mutex);
}

static void a_wait_ends_at_its_deadline(void **state)
{
	int64_t start_ms = clock_ms();

	(void)state;
	lock_take(&low);
	while (cond_wait_until(&cond, &low, start_ms + 30))
		;
	lock_drop(&low);
	assert_true(clock_ms() >= start_ms + 30);
}

static void a_wait_follows_the_fake_clock(void **state)
{
	static int64_t now_ms = INT64_C(1) << 40; /* far from the real one */

	(void)state;
	clock_fake(&now_ms);
	assert_true(clock_is_fake());
	assert_int_equal(clock_ms(), now_ms);
	assert_int_equal(clock_us(), now_ms * 1000);
	lock_take(&low);
	assert_true(cond_wait_until(&cond, &low, now_ms + 1000));
	now_ms += 1000;
	assert_false(cond_wait_until(&cond, &low, now_ms));
	lock_drop(&low);
	clock_fake(NULL);
	assert_false(clock_is_fake());
}

static bool said; /* under low */

static void *say(void *arg)
{
	(void)arg;
	lock_guard(&low);
	said = true;
	cond_wake_all(&cond);
	cond_wake_one(&cond);
	return NULL;
}

static void a_wake_up_is_heard_before_the_deadline(void **state)
{
	pthread_t t;

	(void)state;
	lock_take(&low);
	thread_start(&t, "say", say, NULL);
	while (!said)
		assert_true(cond_wait_until(&cond, &low, clock_ms() + 10000));
	lock_drop(&low);
	pthread_join(t, NULL);
}

static void time_left_fits_poll(void **state)
{
	static int64_t now_ms = 5000;

	(void)state;
	clock_fake(&now_ms);
	assert_int_equal(clock_left_ms(0), -1);
	assert_int_equal(clock_left_ms(4999), 0);
	assert_int_equal(clock_left_ms(5007), 7);
	assert_int_equal(clock_left_ms(INT64_MAX), INT32_MAX);
	assert_true(clock_wall_ms() > INT64_C(1600000000000));
}

#define lock_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		lock_test(wrong_order_aborts_and_right_order_does_not),
		lock_test(guards_drop_on_every_way_out),
		lock_test(a_wait_ends_at_its_deadline),
		lock_test(a_wait_follows_the_fake_clock),
		lock_test(a_wake_up_is_heard_before_the_deadline),
		lock_test(time_left_fits_poll),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
