/* Which seed a task is asked of: a ring of those that are well. */
#include "schedule_fixture.h"

#include "control/scheduler/seed.h"

#define SEEDS 5
#define TASKS 200

static struct host *add_seed(struct fixture *f, unsigned number)
{
	struct host *h;
	char id[16];

	snprintf(id, sizeof(id), "seed%u", number);
	h = state_host_announce(&f->state, id, f->now);
	h->type = TYPE_SEED;
	h->interval_ms = 1000;
	h->unhealthy = false; /* as each announcement says */
	return h;
}

static void add_seeds(struct fixture *f)
{
	for (unsigned i = 0; i < SEEDS; i++)
		add_seed(f, i);
}

/* The number of the seed that each task is asked of; SEEDS = of none. */
static void choose_all(struct fixture *f, unsigned *out)
{
	char id[80];

	for (unsigned i = 0; i < TASKS; i++) {
		const struct host *h;

		snprintf(id, sizeof(id), "%064u", i);
		h = seeds_choose(&f->state, id);
		out[i] = h ? (unsigned)(h->id[4] - '0') : SEEDS;
	}
}

static unsigned count_of(const unsigned *chosen, unsigned seed)
{
	unsigned count = 0;

	for (unsigned i = 0; i < TASKS; i++)
		count += chosen[i] == seed;
	return count;
}

static void tasks_are_spread_over_the_seeds(void **state)
{
	unsigned first[TASKS], again[TASKS];

	add_seeds(*state);
	state_host_announce(&((struct fixture *)*state)->state, "node", 0); /* no seed */
	choose_all(*state, first);
	choose_all(*state, again);
	assert_memory_equal(first, again, sizeof(first));
	for (unsigned i = 0; i < SEEDS; i++)
		assert_in_range(count_of(first, i), TASKS / SEEDS / 3, TASKS / SEEDS * 3);
}

/* Its tasks go to the others, and theirs stay where they are. */
static void expect_only_its_tasks_moved(const unsigned *before, const unsigned *after,
					unsigned seed)
{
	assert_true(count_of(before, seed) > 0);
	assert_int_equal(count_of(after, seed), 0);
	assert_int_equal(count_of(after, SEEDS), 0);
	for (unsigned i = 0; i < TASKS; i++)
		assert_true(before[i] == seed || before[i] == after[i]);
}

static void a_seed_that_is_not_well_is_off_the_ring_until_it_says_that_it_is(void **state)
{
	struct fixture *f = *state;
	unsigned before[TASKS], after[TASKS];

	add_seeds(f);
	choose_all(f, before);
	state_host(&f->state, "seed2")->unhealthy = true;
	choose_all(f, after);
	expect_only_its_tasks_moved(before, after, 2);
	add_seed(f, 2);
	choose_all(f, after);
	assert_memory_equal(before, after, sizeof(before));
}

static void a_seed_that_falls_silent_is_off_the_ring_until_it_speaks(void **state)
{
	struct fixture *f = *state;
	unsigned before[TASKS], after[TASKS];

	add_seeds(f);
	choose_all(f, before);
	f->now += 2001;
	for (unsigned i = 0; i < SEEDS; i++)
		if (i != 2)
			add_seed(f, i);
	assert_int_equal(state_gc(&f->state, f->now), 1); /* twice its interval */
	choose_all(f, after);
	expect_only_its_tasks_moved(before, after, 2);
	add_seed(f, 2);
	choose_all(f, after);
	assert_memory_equal(before, after, sizeof(before));
}

static void a_seed_that_does_not_share_and_no_seed_at_all_are_none(void **state)
{
	struct fixture *f = *state;

	assert_null(seeds_choose(&f->state, "task"));
	add_seed(f, 0)->disable_shared = true;
	assert_null(seeds_choose(&f->state, "task"));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tasks_are_spread_over_the_seeds),
		TEST(a_seed_that_is_not_well_is_off_the_ring_until_it_says_that_it_is),
		TEST(a_seed_that_falls_silent_is_off_the_ring_until_it_speaks),
		TEST(a_seed_that_does_not_share_and_no_seed_at_all_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
