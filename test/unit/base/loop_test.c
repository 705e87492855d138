/* base/loop and its wheel */
#include "test/unit/unit.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/wheel.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static struct loop *loop;
static struct lock lock;
static struct cond changed;

static int start(void **state)
{
	struct err e;

	(void)state;
	lock_init(&lock, 1);
	cond_init(&changed);
	return loop_new("test", &loop, &e);
}

static int stop(void **state)
{
	(void)state;
	loop_free(loop);
	cond_release(&changed);
	lock_release(&lock);
	return 0;
}

static void set_flag(bool *flag)
{
	lock_guard(&lock);
	*flag = true;
	cond_wake_all(&changed);
}

static void await_flag(const bool *flag)
{
	int64_t deadline_ms = clock_ms() + 10000;

	lock_guard(&lock);
	while (!*flag)
		assert_true(cond_wait_until(&changed, &lock, deadline_ms));
}

/* Runs a function on the loop's thread and waits for it. */
struct call {
	struct loop_job job;
	void (*fn)(void *arg);
	void *arg;
	bool done;
};

static void run_call(struct loop_job *job)
{
	struct call *c = container_of(job, struct call, job);

	c->fn(c->arg);
	set_flag(&c->done);
}

static void on_loop(void (*fn)(void *arg), void *arg)
{
	struct call c = {.job.run = run_call, .fn = fn, .arg = arg};

	list_init(&c.job.link);
	assert_true(loop_post(loop, &c.job));
	await_flag(&c.done);
}

struct pair {
	struct watch watch;
	int other;
	struct pair *rival; /* unwatched and freed by whichever is ready first */
	int ready_count;
	bool seen;
};

static void pair_init(struct pair *p, void (*ready)(struct watch *w, uint32_t events))
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	*p = (struct pair){.watch = {.fd = ends[0], .events = EPOLLIN, .ready = ready},
			   .other = ends[1]};
}

static void pair_close(struct pair *p)
{
	close(p->watch.fd);
	close(p->other);
}

static void watch_pair(void *arg)
{
	struct pair *p = arg;
	struct err e;

	assert_int_equal(loop_watch(loop, &p->watch, &e), 0);
}

static void unwatch_pair(void *arg)
{
	struct pair *p = arg;

	loop_unwatch(loop, &p->watch);
}

static void read_byte(struct watch *w, uint32_t events)
{
	struct pair *p = container_of(w, struct pair, watch);
	char byte;

	assert_int_equal(events, EPOLLIN);
	assert_int_equal(read(w->fd, &byte, 1), 1);
	p->ready_count++;
	set_flag(&p->seen);
}

static void bytes_wake_the_owner(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, read_byte);
	on_loop(watch_pair, &p);
	assert_int_equal(write(p.other, "x", 1), 1);
	await_flag(&p.seen);
	on_loop(unwatch_pair, &p);
	assert_int_equal(p.ready_count, 1);
	pair_close(&p);
}

static void write_once(struct watch *w, uint32_t events)
{
	struct pair *p = container_of(w, struct pair, watch);

	assert_int_equal(events, EPOLLOUT);
	loop_rewatch(loop, w, 0);
	p->ready_count++;
	set_flag(&p->seen);
}

static void want_to_write(void *arg)
{
	struct pair *p = arg;

	loop_rewatch(loop, &p->watch, EPOLLOUT);
}

static void nothing(void *arg)
{
	(void)arg;
}

static void events_follow_rewatch(void **state)
{
	struct pair p;

	(void)state;
	pair_init(&p, write_once);
	on_loop(watch_pair, &p);
	on_loop(want_to_write, &p);
	await_flag(&p.seen);
	/* Still writable, no longer wanted. */
	on_loop(nothing, NULL);
	on_loop(nothing, NULL);
	on_loop(unwatch_pair, &p);
	assert_int_equal(p.ready_count, 1);
	pair_close(&p);
}

static void strike_rival(struct watch *w, uint32_t events)
{
	struct pair *p = container_of(w, struct pair, watch);

	(void)events;
	loop_unwatch(loop, &p->rival->watch);
	pair_close(p->rival);
	free(p->rival);
	p->rival = NULL;
	loop_unwatch(loop, w);
	p->ready_count++;
	set_flag(&p->seen);
}

/* Both are ready before either is watched, so that one batch has both. */
static void watch_both(void *arg)
{
	struct pair *p = arg;

	watch_pair(p);
	watch_pair(p->rival);
}

static void no_event_comes_after_unwatch_in_the_same_batch(void **state)
{
	struct pair *a = mem_new(struct pair), *b = mem_new(struct pair);
	struct pair *left;

	(void)state;
	pair_init(a, strike_rival);
	pair_init(b, strike_rival);
	a->rival = b;
	b->rival = a;
	assert_int_equal(write(a->other, "x", 1), 1);
	assert_int_equal(write(b->other, "x", 1), 1);
	/* epoll reports in the order in which they became ready: a frees b */
	on_loop(watch_both, a);
	await_flag(&a->seen);
	left = a;
	on_loop(nothing, NULL);
	assert_int_equal(left->ready_count, 1);
	pair_close(left);
	free(left);
}

static void a_bad_descriptor_is_refused(void **state)
{
	struct watch w = {.fd = -1, .events = EPOLLIN};
	struct err e;

	(void)state;
	assert_int_equal(loop_watch(loop, &w, &e), -EBADF);
}

struct counted {
	struct loop_job job;
	int runs;
};

static void count_run(struct loop_job *job)
{
	container_of(job, struct counted, job)->runs++;
}

static void post_twice(void *arg)
{
	struct counted *c = arg;

	assert_true(loop_post(loop, &c->job));
	assert_false(loop_post(loop, &c->job));
}

static void a_queued_job_is_queued_once(void **state)
{
	struct counted c = {.job.run = count_run};

	(void)state;
	list_init(&c.job.link);
	on_loop(post_twice, &c);
	on_loop(nothing, NULL);
	assert_int_equal(c.runs, 1);
	on_loop(post_twice, &c);
	on_loop(nothing, NULL);
	assert_int_equal(c.runs, 2);
}

struct chain {
	struct loop_job job;
	int left;
};

static void post_next(struct loop_job *job)
{
	struct chain *c = container_of(job, struct chain, job);

	if (c->left-- > 1)
		assert_true(loop_post(loop, job));
}

static void pending_jobs_run_before_the_end(void **state)
{
	struct chain c = {.job.run = post_next, .left = 1000};

	(void)state;
	start(NULL);
	list_init(&c.job.link);
	assert_true(loop_post(loop, &c.job));
	stop(NULL);
	assert_int_equal(c.left, 0);
}

struct alarm {
	struct loop_timer timer;
	int64_t delay_ms, fired_ms;
	struct loop_timer *victim;
	bool fired;
};

static void ring(struct loop_timer *t)
{
	struct alarm *a = container_of(t, struct alarm, timer);

	a->fired_ms = clock_ms();
	if (a->victim)
		loop_timer_cancel(loop, a->victim);
	set_flag(&a->fired);
}

static void arm_alarm(void *arg)
{
	struct alarm *a = arg;

	list_init(&a->timer.link);
	a->timer.fire = ring;
	loop_timer_arm(loop, &a->timer, a->delay_ms);
}

static void cancel_alarm(void *arg)
{
	struct alarm *a = arg;

	loop_timer_cancel(loop, &a->timer);
}

static void a_timer_fires_not_early(void **state)
{
	struct alarm a = {.delay_ms = 30};
	int64_t start_ms = clock_ms();

	(void)state;
	on_loop(arm_alarm, &a);
	await_flag(&a.fired);
	assert_true(a.fired_ms >= start_ms + 30);
}

static void a_timer_may_cancel_one_that_is_due_with_it(void **state)
{
	struct alarm a = {.delay_ms = 20}, b = {.delay_ms = 20}, c = {.delay_ms = 60};

	(void)state;
	a.victim = &b.timer;
	b.victim = &a.timer;
	on_loop(arm_alarm, &a);
	on_loop(arm_alarm, &b);
	on_loop(arm_alarm, &c);
	await_flag(&c.fired);
	assert_true(a.fired != b.fired);
}

static void a_cancelled_timer_does_not_fire(void **state)
{
	struct alarm a = {.delay_ms = 10}, b = {.delay_ms = 50};

	(void)state;
	on_loop(arm_alarm, &a);
	on_loop(cancel_alarm, &a);
	on_loop(cancel_alarm, &a);
	on_loop(arm_alarm, &b);
	await_flag(&b.fired);
	assert_false(a.fired);
}

/* Timers from 0 ms to 5 hours on a clock that jumps: each fires in its time, never early. */
static void the_wheel_is_never_early_and_at_most_two_ticks_late(void **state)
{
	static struct loop_timer timers[4000];
	struct wheel *w = mem_new(struct wheel);
	int64_t now_ms = 123456789;
	unsigned random = 3;
	size_t fired = 0;

	(void)state;
	wheel_init(w);
	assert_int_equal(wheel_left_ms(w, now_ms), -1);
	for (size_t i = 0; i < array_len(timers); i++) {
		int64_t far_ms = i % 4 == 0   ? 100
				 : i % 4 == 1 ? 60000
				 : i % 4 == 2 ? 3600000
					      : 18000000;

		random = random * 1103515245u + 12345u;
		list_init(&timers[i].link);
		wheel_arm(w, &timers[i], now_ms, now_ms + (random >> 4) % far_ms);
	}
	for (size_t i = 0; i < array_len(timers); i += 10) {
		wheel_cancel(w, &timers[i]);
		fired++;
	}
	while (w->count > 0) {
		int left = wheel_left_ms(w, now_ms);
		struct loop_timer *t;

		assert_in_range(left, 0, WHEEL_TICK_MS * (WHEEL_SLOTS + 1));
		now_ms += left;
		while ((t = wheel_pop(w, now_ms)) != NULL) {
			assert_in_range(now_ms - t->at_ms, 0, 2 * WHEEL_TICK_MS);
			assert_true(list_empty(&t->link));
			fired++;
		}
	}
	assert_int_equal(fired, array_len(timers));
	free(w);
}

static void ten_thousand_connections_rearm_cheaply(void **state)
{
	enum { CONNECTIONS = 10000, TURNS = 100 };
	struct loop_timer *timers = mem_array(CONNECTIONS, sizeof(*timers));
	struct wheel *w = mem_new(struct wheel);
	int64_t now_ms = 1000, start_us = clock_us();
	int wakes = 0;

	(void)state;
	wheel_init(w);
	for (int i = 0; i < CONNECTIONS; i++)
		list_init(&timers[i].link);
	for (int turn = 0; turn < TURNS; turn++, now_ms += 7) {
		for (int i = 0; i < CONNECTIONS; i++)
			wheel_arm(w, &timers[i], now_ms, now_ms + 60000);
		assert_null(wheel_pop(w, now_ms));
	}
	/* A million in far less than a second, even when it is instrumented. */
	assert_true(clock_us() - start_us < 2000000);
	/* And while nothing happens hardly a wake-up. */
	while (!wheel_pop(w, now_ms)) {
		now_ms += wheel_left_ms(w, now_ms);
		wakes++;
	}
	assert_true(wakes < 20);
	free(timers);
	free(w);
}

#define loop_test(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		loop_test(bytes_wake_the_owner),
		loop_test(events_follow_rewatch),
		loop_test(no_event_comes_after_unwatch_in_the_same_batch),
		loop_test(a_bad_descriptor_is_refused),
		loop_test(a_queued_job_is_queued_once),
		cmocka_unit_test(pending_jobs_run_before_the_end),
		loop_test(a_timer_fires_not_early),
		loop_test(a_timer_may_cancel_one_that_is_due_with_it),
		loop_test(a_cancelled_timer_does_not_fire),
		cmocka_unit_test(the_wheel_is_never_early_and_at_most_two_ticks_late),
		cmocka_unit_test(ten_thousand_connections_rearm_cheaply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
