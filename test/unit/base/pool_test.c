/* base/pool */
#include "test/unit/unit.h"

#include "base/lock.h"
#include "base/pool.h"

/* A job that counts itself and waits until the gate is open. */
struct gate {
	struct lock lock;
	struct cond changed;
	/* under lock */
	bool open;
	unsigned started, ended;
};

static void gate_init(struct gate *g)
{
	*g = (struct gate){0};
	lock_init(&g->lock, 1);
	cond_init(&g->changed);
}

static void gate_release(struct gate *g)
{
	cond_release(&g->changed);
	lock_release(&g->lock);
}

static void gate_open(struct gate *g)
{
	lock_guard(&g->lock);
	g->open = true;
	cond_wake_all(&g->changed);
}

static void gate_await_started(struct gate *g, unsigned n)
{
	lock_guard(&g->lock);
	while (g->started < n)
		cond_wait(&g->changed, &g->lock);
}

static void pass_gate(void *arg)
{
	struct gate *g = arg;

	lock_guard(&g->lock);
	g->started++;
	cond_wake_all(&g->changed);
	while (!g->open)
		cond_wait(&g->changed, &g->lock);
	g->ended++;
}

static void jobs_run_side_by_side_up_to_the_bound(void **state)
{
	struct pool *p = pool_new("test", 3, 2);
	struct gate g;

	(void)state;
	gate_init(&g);
	for (int i = 0; i < 5; i++)
		assert_true(pool_run(p, pass_gate, &g));
	assert_false(pool_run(p, pass_gate, &g));
	gate_await_started(&g, 3);
	assert_false(pool_run(p, pass_gate, &g));
	assert_int_equal(g.started, 3);
	gate_open(&g);
	pool_free(p);
	assert_int_equal(g.ended, 5);
	gate_release(&g);
}

static void freeing_runs_what_is_queued(void **state)
{
	struct pool *p = pool_new("test", 1, 1000);
	struct gate g;

	(void)state;
	gate_init(&g);
	for (int i = 0; i < 1000; i++)
		assert_true(pool_run(p, pass_gate, &g));
	gate_open(&g);
	pool_free(p);
	assert_int_equal(g.ended, 1000);
	gate_release(&g);
}

struct again {
	struct pool *pool;
	struct gate *gate;
	bool accepted;
};

static void run_again_when_stopping(void *arg)
{
	struct again *a = arg;

	pass_gate(a->gate);
	/* pool_free() has been called or will be: refused at last */
	while ((a->accepted = pool_run(a->pool, pass_gate, a->gate)))
		sched_yield();
}

static void a_stopping_pool_refuses_jobs(void **state)
{
	struct pool *p = pool_new("test", 1, 4);
	struct again a = {.pool = p, .accepted = true};
	struct gate g;

	(void)state;
	gate_init(&g);
	a.gate = &g;
	gate_open(&g);
	assert_true(pool_run(p, run_again_when_stopping, &a));
	pool_free(p);
	assert_false(a.accepted);
	assert_int_equal(g.started, g.ended);
	gate_release(&g);
}

static void nothing_to_free_is_fine(void **state)
{
	(void)state;
	pool_free(NULL);
	pool_free(pool_new("unused", 4, 4));
}

static void *tell_name(void *arg)
{
	char *name = arg;

	/* The name is set by the starter, perhaps after we run: wait for it. */
	do {
		sched_yield();
		assert_int_equal(pthread_getname_np(pthread_self(), name, 16), 0);
	} while (name[0] != 'a');
	return NULL;
}

static void threads_have_names_that_are_cut(void **state)
{
	char name[16];
	pthread_t t;

	(void)state;
	thread_start(&t, "a-name-that-is-far-too-long", tell_name, name);
	pthread_join(t, NULL);
	assert_string_equal(name, "a-name-that-is-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_run_side_by_side_up_to_the_bound),
		cmocka_unit_test(freeing_runs_what_is_queued),
		cmocka_unit_test(a_stopping_pool_refuses_jobs),
		cmocka_unit_test(nothing_to_free_is_fine),
		cmocka_unit_test(threads_have_names_that_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
