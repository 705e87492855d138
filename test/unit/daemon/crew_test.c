/* daemon/crew: who is served next, and by how many */
#include "daemon/crew.h"

#include "test/unit/unit.h"

#include "base/clock.h"
#include "base/lock.h"

#include <string.h>
#include <unistd.h>

/* Work that waits until it is let go. */
struct team {
	struct gang g;

	unsigned urgent, rest; /* jobs left */
	unsigned running, running_rest, most, most_rest, done, looks;
	bool held;
};

static struct lock lock;
static struct cond changed;

static void look(struct gang *g)
{
	struct team *t = container_of(g, struct team, g);

	lock_guard(&lock);
	t->looks++;
	cond_wake_all(&changed);
}

static enum piece_rank choose(struct gang *g, enum piece_rank least, void *work)
{
	struct team *t = container_of(g, struct team, g);
	enum piece_rank *rank = work;

	lock_guard(&lock);
	if (t->urgent > 0) {
		t->urgent--;
		*rank = PIECE_URGENT;
	} else if (t->rest > 0 && least >= PIECE_REST) {
		t->rest--;
		t->running_rest++;
		*rank = PIECE_REST;
	} else {
		return PIECE_NONE;
	}
	t->running++;
	if (t->running > t->most)
		t->most = t->running;
	if (t->running_rest > t->most_rest)
		t->most_rest = t->running_rest;
	cond_wake_all(&changed);
	return *rank;
}

static void perform(struct gang *g, void *work)
{
	struct team *t = container_of(g, struct team, g);
	enum piece_rank *rank = work;

	lock_guard(&lock);
	while (t->held)
		cond_wait(&changed, &lock);
	t->running--;
	t->running_rest -= *rank == PIECE_REST;
	t->done++;
	cond_wake_all(&changed);
}

static struct team team_of(unsigned urgent, unsigned rest, unsigned hands, bool held)
{
	return (struct team){
		.g = {.look = look, .choose = choose, .perform = perform, .hands_max = hands},
		.urgent = urgent,
		.rest = rest,
		.held = held};
}

static void let_go(struct team *t)
{
	lock_guard(&lock);
	t->held = false;
	cond_wake_all(&changed);
}

#define await(condition)                                                                           \
	do {                                                                                       \
		int64_t until_ms_ = clock_ms() + 5000;                                             \
		lock_take(&lock);                                                                  \
		while (!(condition) && cond_wait_until(&changed, &lock, until_ms_))                \
			;                                                                          \
		assert_true(condition);                                                            \
		lock_drop(&lock);                                                                  \
	} while (0)

static int setup(void **state)
{
	(void)state;
	lock_init(&lock, 50);
	cond_init(&changed);
	return 0;
}

static void all_work_is_done_after_one_kick(void **state)
{
	struct crew *c = crew_new(8, sizeof(enum piece_rank));
	struct team t = team_of(5, 40, 4, false);

	(void)state;
	crew_kick(c, &t.g, false);
	await(t.done == 45);
	crew_leave(c, &t.g);
	assert_true(t.most <= 4);
	crew_free(c);
}

static void one_gang_has_no_more_hands_than_it_may(void **state)
{
	struct crew *c = crew_new(8, sizeof(enum piece_rank));
	struct team t = team_of(20, 0, 3, true);

	(void)state;
	crew_kick(c, &t.g, true);
	await(t.running == 3);
	let_go(&t);
	await(t.done == 20);
	crew_leave(c, &t.g);
	assert_int_equal(t.most, 3);
	crew_free(c);
}

static void a_reader_finds_a_thread_though_all_prefetch(void **state)
{
	struct crew *c = crew_new(8, sizeof(enum piece_rank));
	struct team rest = team_of(0, 40, 40, true), urgent = team_of(1, 0, 4, false);

	(void)state;
	crew_kick(c, &rest.g, false);
	await(rest.running == 6);
	crew_kick(c, &urgent.g, true);
	await(urgent.done == 1);
	assert_int_equal(rest.most_rest, 6);
	let_go(&rest);
	await(rest.done == 40);
	assert_int_equal(rest.most_rest, 6);
	crew_leave(c, &rest.g);
	crew_leave(c, &urgent.g);
	crew_free(c);
}

static void a_reader_finds_a_hand_of_its_own_task(void **state)
{
	struct crew *c = crew_new(16, sizeof(enum piece_rank));
	struct team t = team_of(0, 40, 4, true);

	(void)state;
	crew_kick(c, &t.g, false);
	await(t.running_rest == 3);
	lock_take(&lock);
	t.urgent = 1;
	lock_drop(&lock);
	crew_kick(c, &t.g, true);
	await(t.running == 4);
	let_go(&t);
	await(t.done == 41);
	crew_leave(c, &t.g);
	assert_int_equal(t.most_rest, 3);
	crew_free(c);
}

static void prefetches_take_turns(void **state)
{
	struct crew *c = crew_new(2, sizeof(enum piece_rank));
	struct team a = team_of(0, 30, 8, true), b = team_of(0, 30, 8, false);

	(void)state;
	crew_kick(c, &a.g, false);
	await(a.running == 1);
	crew_kick(c, &b.g, false);
	let_go(&a);
	await(a.done == 30 && b.done == 30);
	crew_leave(c, &a.g);
	crew_leave(c, &b.g);
	crew_free(c);
}

static void leaving_waits_for_those_at_work(void **state)
{
	struct crew *c = crew_new(4, sizeof(enum piece_rank));
	struct team t = team_of(2, 2, 4, true);

	(void)state;
	crew_kick(c, &t.g, true);
	await(t.running > 0);
	assert_true(crew_is_busy(c, &t.g));
	let_go(&t);
	crew_leave(c, &t.g);
	assert_false(crew_is_busy(c, &t.g));
	assert_int_equal(t.running, 0);
	crew_kick(c, &t.g, true);
	assert_false(crew_is_busy(c, &t.g));
	crew_free(c);
}

static void a_gang_is_looked_after_even_with_all_its_hands_full(void **state)
{
	struct crew *c = crew_new(4, sizeof(enum piece_rank));
	struct team t = team_of(1, 0, 1, true);

	(void)state;
	crew_kick(c, &t.g, true);
	await(t.running == 1 && t.looks == 2);
	crew_kick(c, &t.g, true);
	await(t.looks == 3);
	let_go(&t);
	crew_leave(c, &t.g);
	crew_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_work_is_done_after_one_kick),
		cmocka_unit_test(one_gang_has_no_more_hands_than_it_may),
		cmocka_unit_test(a_reader_finds_a_thread_though_all_prefetch),
		cmocka_unit_test(a_reader_finds_a_hand_of_its_own_task),
		cmocka_unit_test(prefetches_take_turns),
		cmocka_unit_test(leaving_waits_for_those_at_work),
		cmocka_unit_test(a_gang_is_looked_after_even_with_all_its_hands_full),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
