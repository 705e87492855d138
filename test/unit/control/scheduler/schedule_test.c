/* Decisions under a clock of our own: who is told what, and when. */
#include "control/scheduler/state.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct told {
	char peer[32], parents[4][32];
	enum answer answer;
	unsigned count;
};

struct fixture {
	struct state state;
	int64_t now;
	struct told last;
	unsigned answers, seeds_asked;
	bool has_seed;
};

static void note(struct peer *p, enum answer a, struct peer *const *parents, unsigned count,
		 const char *why, void *arg)
{
	struct fixture *f = arg;

	(void)why;
	f->answers++;
	f->last = (struct told){.answer = a, .count = count};
	snprintf(f->last.peer, sizeof(f->last.peer), "%s", p->id);
	for (unsigned i = 0; i < count && i < 4; i++)
		snprintf(f->last.parents[i], 32, "%s", parents[i]->id);
}

static bool ask_seed(struct task *t, const struct peer *p, void *arg)
{
	struct fixture *f = arg;

	(void)t, (void)p;
	f->seeds_asked += f->has_seed;
	return f->has_seed;
}

static void removed(struct peer *p, void *arg)
{
	(void)p, (void)arg;
}

static int start(void **state)
{
	static const struct state_config config = {
		.candidate_parent_limit = 4,
		.filter_parent_limit = 40,
		.back_to_source_count = 2,
		.wait_ms = 2000,
		.seed_wait_ms = 5000,
		.seed_failed_ms = 30000,
		.peer_ttl_ms = 1000000,
		.host_ttl_ms = 100000,
		.piece_timeout_ms = 500000,
		.random_seed = 7,
	};
	struct fixture *f = mem_new(struct fixture);
	const struct state_ops ops = {note, ask_seed, removed, f};

	state_init(&f->state, &config, &ops);
	f->now = 1000;
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

/* A peer "p<name>" on a host "h<name>" that has registered and asked. */
static struct peer *join_as(struct fixture *f, const char *name, bool source, int priority)
{
	char id[32];
	struct host *h;
	struct task *t;
	struct peer *p;

	snprintf(id, sizeof(id), "h%s", name);
	h = state_host_announce(&f->state, id, f->now);
	h->tx_max = 100 << 20;
	h->type = *name == 'S';
	t = state_task(&f->state, "task");
	if (!t)
		t = state_task_make(&f->state, "task", 100 << 20, 4 << 20, f->now);
	snprintf(id, sizeof(id), "p%s", name);
	p = state_peer_make(&f->state, id, h, t, f->now);
	p->may_back_to_source = true;
	p->need_back_to_source = source;
	p->priority = priority;
	p->concurrent_pieces = 8;
	p->stream = f;
	state_peer_event(&f->state, p, PEER_EVENT_REGISTER, f->now);
	state_schedule(&f->state, p, f->now);
	return p;
}

static struct peer *join(struct fixture *f, const char *name)
{
	return join_as(f, name, false, 0);
}

static void first_peer_without_a_seed_goes_to_the_origin_and_the_rest_wait_for_it(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a");

	assert_int_equal(f->answers, 1);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	join(f, "b");
	join(f, "c");
	assert_int_equal(f->answers, 1); /* no second copy */
	assert_true(state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now));
	assert_int_equal(f->answers, 3);
	assert_int_equal(f->last.answer, ANSWER_PARENTS);
	assert_string_equal(f->last.parents[0], "pa");
}

static void a_seed_is_asked_once_and_feeds_those_who_wait(void **state)
{
	struct fixture *f = *state;
	struct peer *seed;

	f->has_seed = true;
	join(f, "a");
	join(f, "b");
	assert_int_equal(f->seeds_asked, 1);
	assert_int_equal(f->answers, 0);
	seed = join_as(f, "S", true, 0);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	assert_true(state_peer_event(&f->state, seed, PEER_EVENT_BACK_TO_SOURCE, f->now));
	assert_int_equal(f->answers, 3);
	assert_string_equal(f->last.parents[0], "pS");
}

static void a_failed_seed_sends_one_peer_to_the_origin_at_once(void **state)
{
	struct fixture *f = *state;

	f->has_seed = true;
	join(f, "a");
	join(f, "b");
	state_seed_ended(&f->state, "task", false, f->now);
	assert_int_equal(f->answers, 1);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	assert_int_equal(f->seeds_asked, 1); /* not again so soon */
}

static void patience_ends_within_the_bound_and_so_does_the_number_of_copies(void **state)
{
	struct fixture *f = *state;

	join(f, "a"); /* told to read the origin, never starts */
	join(f, "b");
	join(f, "c");
	f->now += 1999;
	state_tick(&f->state, f->now);
	assert_int_equal(f->answers, 1);
	f->now += 2;
	state_tick(&f->state, f->now);
	assert_int_equal(f->answers, 3);
	assert_int_equal(f->last.answer, ANSWER_REFUSED); /* back_to_source_count is 2 */
}

static void a_running_peer_feeds_others_from_its_first_piece(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a"), *b;

	state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now);
	b = join(f, "b");
	state_peer_event(&f->state, b, PEER_EVENT_STARTED, f->now);
	state_peer_piece(&f->state, b, 10, f->now);
	join(f, "c");
	assert_int_equal(f->last.answer, ANSWER_PARENTS);
	assert_int_equal(f->last.count, 2);
}

static void circles_are_never_made(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a"), *b, *c;

	state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now);
	b = join(f, "b");
	state_peer_event(&f->state, b, PEER_EVENT_STARTED, f->now);
	state_peer_piece(&f->state, b, 10, f->now);
	c = join(f, "c");
	state_peer_event(&f->state, c, PEER_EVENT_STARTED, f->now);
	state_peer_piece(&f->state, c, 10, f->now);
	assert_int_equal(c->parent_count, 2); /* a and b */
	assert_true(graph_would_circle(&f->state, c, b));
	state_peer_block(b, "pa");
	state_schedule(&f->state, b, f->now);
	/* Its own child c is all that is left: no parent, so it waits. */
	assert_int_equal(b->parent_count, 0);
	assert_false(list_empty(&b->wait_link));
}

static void blocked_shared_off_and_same_host_are_no_parents(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a"), *b;
	unsigned before;

	state_peer_event(&f->state, a, PEER_EVENT_FINISHED, f->now);
	a->host->disable_shared = true;
	before = f->answers;
	b = join(f, "b");
	assert_int_equal(f->answers, before);
	a->host->disable_shared = false;
	state_peer_block(b, "pa");
	state_wake(&f->state, a->task, f->now);
	assert_int_equal(f->answers, before);
	join(f, "c");
	assert_int_equal(f->answers, before + 1);
	assert_string_equal(f->last.parents[0], "pa");
}

static void a_leaving_host_takes_its_peers_and_their_edges_along(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a"), *b;

	state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now);
	b = join(f, "b");
	assert_int_equal(b->parent_count, 1);
	assert_true(a->host->assigned_bytes > 0);
	state_host_remove(&f->state, a->host, f->now);
	assert_null(state_peer(&f->state, "pa"));
	assert_int_equal(b->parent_count, 0);
	assert_int_equal(b->task->source_count, 0);
	state_host_remove(&f->state, b->host, f->now);
	assert_int_equal(map_count(f->state.peers), 0);
}

static void priorities_decide_what_happens_when_nobody_has_it(void **state)
{
	struct fixture *f = *state;

	f->has_seed = true;
	join_as(f, "a", false, 1);
	assert_int_equal(f->last.answer, ANSWER_REFUSED);
	join_as(f, "b", false, 2);
	assert_int_equal(f->last.answer, ANSWER_REFUSED);
	assert_int_equal(f->seeds_asked, 0);
	join_as(f, "c", false, 3);
	assert_int_equal(f->last.answer, ANSWER_BACK_TO_SOURCE);
	assert_int_equal(f->seeds_asked, 0);
}

static void events_that_do_not_fit_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a");

	assert_true(state_peer_event(&f->state, a, PEER_EVENT_FINISHED, f->now));
	assert_false(state_peer_event(&f->state, a, PEER_EVENT_STARTED, f->now));
	assert_false(state_peer_event(&f->state, a, PEER_EVENT_BACK_TO_SOURCE, f->now));
	assert_int_equal(a->state, PEER_SUCCEEDED);
}

static void the_silent_and_the_old_are_forgotten(void **state)
{
	struct fixture *f = *state;
	struct peer *a = join(f, "a");

	join(f, "b")->host->interval_ms = 1000;
	state_peer_event(&f->state, a, PEER_EVENT_FINISHED, f->now);
	f->now += 2001;
	assert_int_equal(state_gc(&f->state, f->now), 1); /* hb: twice its interval */
	assert_non_null(state_host(&f->state, "ha"));
	f->now += 100000;
	assert_int_equal(state_gc(&f->state, f->now), 1);
	assert_int_equal(map_count(f->state.hosts), 0);
	f->now += 500000;
	state_gc(&f->state, f->now);
	assert_int_equal(map_count(f->state.tasks), 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, start, stop)
	const struct CMUnitTest tests[] = {
		T(first_peer_without_a_seed_goes_to_the_origin_and_the_rest_wait_for_it),
		T(a_seed_is_asked_once_and_feeds_those_who_wait),
		T(a_failed_seed_sends_one_peer_to_the_origin_at_once),
		T(patience_ends_within_the_bound_and_so_does_the_number_of_copies),
		T(a_running_peer_feeds_others_from_its_first_piece),
		T(circles_are_never_made),
		T(blocked_shared_off_and_same_host_are_no_parents),
		T(a_leaving_host_takes_its_peers_and_their_edges_along),
		T(priorities_decide_what_happens_when_nobody_has_it),
		T(events_that_do_not_fit_change_nothing),
		T(the_silent_and_the_old_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
