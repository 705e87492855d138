/* Who is near: the crowds of a task, and what they are for. */
#include "test/state_config.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
	struct state state;
	struct task *task;
	unsigned near, far; /* of the last answer's parents */
};

static void note(struct peer *p, enum answer a, struct peer *const *parents, unsigned count,
		 const char *why, void *arg)
{
	struct fixture *f = arg;

	(void)a, (void)why;
	if (count == 1 && parents[0]->state == PEER_RECEIVED)
		return; /* introduced */
	f->near = f->far = 0;
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(parents[i]->host->location, p->host->location) == 0)
			f->near++;
		else
			f->far++;
	}
}

static bool ask_seed(struct task *t, const struct peer *p, void *arg)
{
	(void)t, (void)p, (void)arg;
	return false;
}

static void removed(struct peer *p, void *arg)
{
	(void)p, (void)arg;
}

static int start(void **state)
{
	const struct state_config config = state_config_usual();
	struct fixture *f = mem_new(struct fixture);
	const struct state_ops ops = {note, ask_seed, removed, f};

	state_init(&f->state, &config, &ops);
	f->task = state_task_make(&f->state, "task", 100 << 20, 4 << 20, 0);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	state_release(&f->state);
	free(f);
	return 0;
}

static struct peer *make(struct fixture *f, const char *location, unsigned no)
{
	struct host *h;
	char id[64];

	snprintf(id, sizeof(id), "h-%s-%u", location, no);
	h = state_host_announce(&f->state, id, 0);
	host_move(h, "idc", location);
	h->tx_max = 100 << 20;
	return state_peer_make(&f->state, id, h, f->task, 0);
}

/* Peers that have all of it. */
static void fill(struct fixture *f, const char *location, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct peer *p = make(f, location, i);

		state_peer_event(&f->state, p, PEER_EVENT_REGISTER, 0);
		state_peer_event(&f->state, p, PEER_EVENT_FINISHED, 0);
	}
}

static struct peer *ask(struct fixture *f, const char *location, unsigned no)
{
	struct peer *p = make(f, location, no);

	state_peer_event(&f->state, p, PEER_EVENT_REGISTER, 0);
	state_schedule(&f->state, p, 0);
	return p;
}

static void a_few_near_ones_are_found_among_thousands(void **state)
{
	struct fixture *f = *state;

	fill(f, "a|far", 5000);
	fill(f, "a|near", 5);
	ask(f, "a|near", 1000);
	assert_int_equal(f->near, 3);
	assert_int_equal(f->far, 1);
}

static void who_is_alone_at_its_place_gets_others(void **state)
{
	struct fixture *f = *state;

	fill(f, "a|far", 10);
	ask(f, "a|near", 0);
	assert_int_equal(f->far, 4);
}

static void of_a_crowd_some_reach_out_and_most_do_not(void **state)
{
	unsigned reached = 0, asked = 100;
	struct fixture *f = *state;

	fill(f, "a|far", 600);
	fill(f, "a|near", 600);
	for (unsigned i = 0; i < asked; i++) {
		ask(f, "a|near", 1000 + i);
		assert_int_equal(f->near + f->far, 4);
		assert_true(f->far <= 1);
		reached += f->far;
	}
	assert_true(reached > asked / 10 && reached < asked / 2);
}

static void a_host_that_moves_takes_its_peers_to_the_other_crowd(void **state)
{
	struct fixture *f = *state;
	struct peer *one, *asks;

	fill(f, "a|x", 2);
	asks = make(f, "A|X", 9); /* letters' case is not looked at */
	assert_int_equal(crowd_of(asks)->count, 2);
	one = crowd_of(asks)->peers[0];
	host_move(one->host, "idc", "a|y");
	assert_int_equal(crowd_of(asks)->count, 1);
	assert_ptr_not_equal(crowd_of(asks)->peers[0], one);
	assert_int_equal(crowd_of(one)->count, 1);
	host_move(one->host, "", "");
	assert_null(crowd_of(one));
	assert_int_equal(f->task->able_count, 2);
}

static void a_crowd_goes_with_its_last_member(void **state)
{
	struct fixture *f = *state;
	struct peer *asks, *one;

	fill(f, "a|x", 3);
	asks = make(f, "a|x", 9);
	one = crowd_of(asks)->peers[1];
	state_peer_event(&f->state, one, PEER_EVENT_FAILED, 0);
	assert_int_equal(crowd_of(asks)->count, 2);
	assert_null(one->crowd);
	while (crowd_of(asks))
		state_peer_remove(&f->state, crowd_of(asks)->peers[0], 0);
	assert_int_equal(map_count(f->task->crowds), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_few_near_ones_are_found_among_thousands, start,
						stop),
		cmocka_unit_test_setup_teardown(who_is_alone_at_its_place_gets_others, start, stop),
		cmocka_unit_test_setup_teardown(of_a_crowd_some_reach_out_and_most_do_not, start,
						stop),
		cmocka_unit_test_setup_teardown(
			a_host_that_moves_takes_its_peers_to_the_other_crowd, start, stop),
		cmocka_unit_test_setup_teardown(a_crowd_goes_with_its_last_member, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
