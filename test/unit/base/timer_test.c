/* base/timer */
#include "test/unit/unit.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/timer.h"

#define PATIENCE_MS 30000

static struct lock lock;
static struct cond changed;
static int fired;	/* under lock */
static int order[1000]; /* under lock */

static int start(void **state)
{
	(void)state;
	lock_init(&lock, 1);
	cond_init(&changed);
	fired = 0;
	timer_start();
	timer_start();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	timer_stop();
	timer_stop();
	clock_fake(NULL);
	cond_release(&changed);
	lock_release(&lock);
	return 0;
}

static void count(struct timer *t)
{
	lock_guard(&lock);
	if (fired < (int)array_len(order))
		order[fired] = (int)(intptr_t)t->arg;
	fired++;
	cond_wake_all(&changed);
}

static void await_fired(int n)
{
	int64_t deadline_ms = clock_ms() + PATIENCE_MS;

	lock_guard(&lock);
	while (fired < n)
		assert_true(cond_wait_until(&changed, &lock, deadline_ms));
}

static void timers_fire_in_the_order_of_their_time(void **state)
{
	static struct timer timers[500];
	unsigned random = 7;

	(void)state;
	for (size_t i = 0; i < array_len(timers); i++) {
		random = random * 1103515245u + 12345u;
		timers[i] = (struct timer){.fire = count};
		timers[i].arg = (void *)(intptr_t)(200 + 2 * ((random >> 8) % 100));
		timer_arm(&timers[i], (int64_t)(intptr_t)timers[i].arg);
	}
	/* Half are moved, some are cancelled: the heap stays a heap. */
	for (size_t i = 0; i < array_len(timers); i += 2) {
		random = random * 1103515245u + 12345u;
		timers[i].arg = (void *)(intptr_t)(200 + 2 * ((random >> 8) % 100));
		timer_arm(&timers[i], (int64_t)(intptr_t)timers[i].arg);
	}
	for (size_t i = 0; i < array_len(timers); i += 5)
		timer_cancel(&timers[i]);
	await_fired(400);
	assert_int_equal(fired, 400);
	/* Arming took a while, so neighbours may be swapped; strangers may not. */
	for (int i = 1; i < fired; i++)
		assert_true(order[i - 1] <= order[i] + 100);
}

static void a_fake_clock_moves_timers(void **state)
{
	static int64_t now_ms = 5000;
	struct timer soon = {.fire = count, .arg = (void *)1};
	struct timer late = {.fire = count, .arg = (void *)2};

	(void)state;
	clock_fake(&now_ms);
	timer_arm(&late, 3600000);
	timer_arm(&soon, 1800000);
	__atomic_store_n(&now_ms, 5000 + 1800000, __ATOMIC_RELAXED);
	lock_take(&lock);
	while (fired < 1)
		cond_wait(&changed, &lock);
	assert_int_equal(order[0], 1);
	assert_int_equal(fired, 1);
	lock_drop(&lock);
	timer_cancel(&late);
}

struct slow {
	struct timer timer;
	bool entered, left; /* under lock */
	int again;
};

static void fire_slowly(struct timer *t)
{
	struct slow *s = container_of(t, struct slow, timer);

	lock_take(&lock);
	s->entered = true;
	cond_wake_all(&changed);
	/* Long enough for the canceller to come and wait. */
	cond_wait_until(&changed, &lock, clock_ms() + 50);
	s->left = true;
	lock_drop(&lock);
	timer_arm(t, 0);
}

static void cancel_waits_for_a_running_fire_even_if_it_rearms(void **state)
{
	struct slow s = {.timer.fire = fire_slowly};

	(void)state;
	timer_arm(&s.timer, 0);
	lock_take(&lock);
	while (!s.entered)
		cond_wait(&changed, &lock);
	lock_drop(&lock);
	timer_cancel(&s.timer);
	assert_true(s.left);
	assert_int_equal(s.timer.slot, 0);
}

static void fire_and_free(struct timer *t)
{
	timer_cancel(t);
	count(t);
	free(t);
}

static void fire_may_cancel_and_free_its_own_timer(void **state)
{
	struct timer *t = mem_new(struct timer);

	(void)state;
	t->fire = fire_and_free;
	timer_arm(t, 0);
	await_fired(1);
}

static void armed_timers_do_not_fire_after_stop(void **state)
{
	struct timer t = {.fire = count};

	(void)state;
	timer_arm(&t, INT64_MAX);
	timer_arm(&t, -5);
	timer_arm(&t, 1000000);
	timer_stop();
	assert_int_equal(t.slot, 0);
	timer_start();
	timer_cancel(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_fire_in_the_order_of_their_time, start,
						stop),
		cmocka_unit_test_setup_teardown(a_fake_clock_moves_timers, start, stop),
		cmocka_unit_test_setup_teardown(cancel_waits_for_a_running_fire_even_if_it_rearms,
						start, stop),
		cmocka_unit_test_setup_teardown(fire_may_cancel_and_free_its_own_timer, start,
						stop),
		cmocka_unit_test_setup_teardown(armed_timers_do_not_fire_after_stop, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
