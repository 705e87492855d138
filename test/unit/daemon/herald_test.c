/* daemon/herald: who is told next of which piece */
#include "test/unit/daemon/task_fixture.h"

#include "daemon/herald.h"

#define PIECES	  5
#define LENGTH	  (PIECES * PIECE)
#define LOG_MAX	  64
#define NEVER_MS  3600000
#define RANK_TOLD 89

/* What followers were told, in order. */
struct told {
	struct lock lock;
	unsigned count;
	unsigned who[LOG_MAX];
	uint32_t number[LOG_MAX];
};

struct child {
	struct actor actor;
	struct herald *herald;
	struct follower follower;
	struct piece_feed feed;
	struct told *told;
	unsigned name;
	bool leaving, freed;
};

struct scene {
	struct setting *s;
	struct task *t;
	struct pool *pool; /* one thread: what is granted is logged before more is granted */
	struct herald *herald;
	struct told told;
};

static void child_run(struct actor *a)
{
	struct child *c = container_of(a, struct child, actor);
	uint32_t number;

	if (c->feed.wanted && __atomic_load_n(&c->leaving, __ATOMIC_SEQ_CST)) {
		herald_leave(c->herald, &c->follower);
		piece_feed_close(&c->feed);
	}
	while (c->feed.wanted && herald_take(c->herald, &c->follower, &number)) {
		lock_guard(&c->told->lock);
		if (c->told->count == LOG_MAX)
			continue;
		c->told->who[c->told->count] = c->name;
		c->told->number[c->told->count++] = number;
	}
}

static void child_free(struct actor *a)
{
	struct child *c = container_of(a, struct child, actor);

	__atomic_store_n(&c->freed, true, __ATOMIC_SEQ_CST);
}

static void child_changed(void *arg)
{
	struct child *c = arg;

	herald_wake(c->herald);
	actor_wake(&c->actor);
}

static const char *const names[] = {"zero", "one", "two"};

static bool paced; /* those that follow from now on */

static void child_follow_some(struct scene *sc, struct child *c, unsigned name, bool urgent,
			      uint32_t first, uint32_t end)
{
	memset(c, 0, sizeof(*c));
	c->herald = sc->herald;
	c->told = &sc->told;
	c->name = name;
	c->actor = (struct actor){.pool = sc->pool, .run = child_run, .free = child_free};
	actor_init(&c->actor);
	c->follower = (struct follower){.actor = &c->actor,
					.feed = &c->feed,
					.urgent = urgent,
					.paced = paced,
					.host_id = names[name]};
	piece_feed_open(&c->feed, sc->t, NULL, 0, first, end, child_changed, c);
	herald_join(sc->herald, &c->follower);
	actor_wake(&c->actor); /* who is alone helps himself */
}

static void child_follow(struct scene *sc, struct child *c, unsigned name, bool urgent)
{
	child_follow_some(sc, c, name, urgent, 0, PIECES);
}

static void child_leave(struct child *c)
{
	__atomic_store_n(&c->leaving, true, __ATOMIC_SEQ_CST);
	actor_wake(&c->actor);
	actor_unref(&c->actor);
	await(__atomic_load_n(&c->freed, __ATOMIC_SEQ_CST));
}

static void scene_open(struct scene *sc, void **state, int64_t overdue_ms)
{
	memset(sc, 0, sizeof(*sc));
	sc->s = *state;
	sc->t = open_url(sc->s, URL);
	sc->pool = pool_new("teller", 1, 16);
	sc->herald = herald_new(sc->s->host, sc->pool, overdue_ms);
	lock_init(&sc->told.lock, RANK_TOLD);
}

static void have_all(struct scene *sc)
{
	for (uint32_t i = 0; i < PIECES; i++)
		assert_int_equal(read_piece(sc->t, i), 0);
	/* Then all who watch have been told. */
	await(is_complete(sc->t));
}

static void scene_close(struct scene *sc, struct child *children, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		child_leave(&children[i]);
	herald_free(sc->herald);
	pool_free(sc->pool);
	lock_release(&sc->told.lock);
	task_unref(sc->t);
}

static unsigned told_count(struct scene *sc)
{
	lock_guard(&sc->told.lock);
	return sc->told.count;
}

static void uploads(struct scene *sc, int change)
{
	for (; change > 0; change--)
		host_sending_begun(sc->s->host, UINT32_MAX);
	for (; change < 0; change++)
		host_sending_ended(sc->s->host);
}

static unsigned told_to(struct scene *sc, unsigned name)
{
	unsigned n = 0;

	lock_guard(&sc->told.lock);
	for (unsigned i = 0; i < sc->told.count; i++)
		n += sc->told.who[i] == name;
	return n;
}

/* The nth piece that one was told of. */
static uint32_t nth_told(struct scene *sc, unsigned name, unsigned n)
{
	unsigned i = 0;

	lock_guard(&sc->told.lock);
	while (sc->told.who[i] != name || n-- > 0)
		i++;
	return sc->told.number[i];
}

/* ---- tests */

static void who_is_alone_is_told_of_everything_at_once(void **state)
{
	struct scene sc;
	struct child a;

	scene_open(&sc, state, NEVER_MS);
	uploads(&sc, 100);
	child_follow(&sc, &a, 1, false);
	have_all(&sc);
	await(told_count(&sc) == PIECES);
	scene_close(&sc, &a, 1);
}

static void who_is_alone_and_paced_is_told_while_slots_are_free(void **state)
{
	struct scene sc;
	struct child c;

	scene_open(&sc, state, NEVER_MS);
	uploads(&sc, 100);
	paced = true;
	child_follow(&sc, &c, 0, false);
	paced = false;
	have_all(&sc);
	assert_int_equal(told_count(&sc), 0);
	uploads(&sc, -100);
	await(told_count(&sc) == PIECES);
	scene_close(&sc, &c, 1);
}

static void what_nobody_knows_is_told_first(void **state)
{
	struct scene sc;
	struct child c[3];
	unsigned seen = 0;

	scene_open(&sc, state, NEVER_MS);
	uploads(&sc, 100);
	for (unsigned i = 0; i < 3; i++)
		child_follow(&sc, &c[i], i, false);
	have_all(&sc);
	assert_int_equal(told_count(&sc), 0);
	uploads(&sc, -100);
	await(told_count(&sc) == 3 * PIECES);
	/* The last to come was the first to be told, and in two rounds all are out. */
	for (unsigned i = 0; i < PIECES; i++)
		seen |= 1u << nth_told(&sc, 2 - i % 3, i / 3);
	assert_int_equal(seen, (1u << PIECES) - 1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(told_to(&sc, i), PIECES);
	scene_close(&sc, c, 3);
}

static void nobody_is_told_while_uploads_fill_the_slots(void **state)
{
	struct scene sc;
	struct child c[2];

	scene_open(&sc, state, NEVER_MS);
	uploads(&sc, 100);
	child_follow(&sc, &c[0], 0, false);
	child_follow(&sc, &c[1], 1, false);
	have_all(&sc);
	/* The herald has looked at all that when it tells of what lets it: one slot. */
	assert_int_equal(told_count(&sc), 0);
	assert_int_equal(herald_left(sc.herald, &c[0].follower), PIECES);
	uploads(&sc, -100);
	await(told_count(&sc) == 2 * PIECES);
	assert_int_equal(herald_left(sc.herald, &c[0].follower), 0);
	scene_close(&sc, c, 2);
}

static void urgent_lists_come_first(void **state)
{
	struct scene sc;
	struct child c[3];

	scene_open(&sc, state, NEVER_MS);
	uploads(&sc, 100);
	for (unsigned i = 0; i < 3; i++)
		child_follow(&sc, &c[i], i, i == 1);
	have_all(&sc);
	uploads(&sc, -100);
	await(told_count(&sc) == 3 * PIECES);
	for (unsigned i = 0; i < PIECES; i++)
		assert_int_equal(sc.told.who[i], 1);
	scene_close(&sc, c, 3);
}

static void who_is_full_is_told_after_the_others(void **state)
{
	struct scene sc;
	struct child c[3];

	scene_open(&sc, state, NEVER_MS);
	uploads(&sc, 100);
	for (unsigned i = 0; i < 3; i++)
		child_follow(&sc, &c[i], i, false);
	have_all(&sc);
	herald_room(sc.herald, "no such task", "one", true);
	herald_room(sc.herald, task_meta(sc.t)->id, "nobody", true);
	herald_room(sc.herald, task_meta(sc.t)->id, "one", true);
	herald_room(sc.herald, task_meta(sc.t)->id, "two", true);
	herald_room(sc.herald, task_meta(sc.t)->id, "two", false);
	uploads(&sc, -100);
	await(told_count(&sc) == 3 * PIECES);
	/* What nobody knows goes to who has room, and then what one knows. */
	for (unsigned i = 0; i < 2 * PIECES; i++)
		assert_int_not_equal(sc.told.who[i], 1);
	scene_close(&sc, c, 3);
}

static void what_nobody_knows_comes_before_what_is_urgent(void **state)
{
	struct scene sc;
	struct child c[2];

	scene_open(&sc, state, NEVER_MS);
	uploads(&sc, 100);
	assert_int_equal(read_piece(sc.t, 3), 0); /* which is no reason to read ahead */
	child_follow(&sc, &c[0], 0, false);
	await(told_count(&sc) == 1); /* alone */
	child_follow_some(&sc, &c[1], 1, true, 3, 4);
	have_all(&sc);
	uploads(&sc, -100);
	await(told_count(&sc) == 1 + PIECES);
	/* The four that nobody knew, and then the one for the reader. */
	assert_int_equal(sc.told.who[PIECES], 1);
	assert_int_equal(sc.told.number[PIECES], 3);
	scene_close(&sc, c, 2);
}

static void while_it_comes_from_the_origin_nothing_is_told_twice(void **state)
{
	struct scene sc;
	struct setting *s = *state;
	struct child c[3];

	setting_stop(s);
	s->config.linger_ms = NEVER_MS; /* the origin is not left before all is here */
	setting_start(s);
	scene_open(&sc, state, NEVER_MS);
	uploads(&sc, 1);
	for (unsigned i = 0; i < 3; i++)
		child_follow(&sc, &c[i], i, false);
	assert_int_equal(read_piece(sc.t, 3), 0); /* which is no reason to read ahead */
	await(told_count(&sc) == 1);
	/* There are slots, and two who have not heard of it. */
	assert_int_equal(read_piece(sc.t, 1), 0);
	await(told_count(&sc) == 2);
	assert_int_equal(sc.told.number[0], 3);
	assert_int_equal(sc.told.number[1], 1);
	uploads(&sc, -1);
	await(told_count(&sc) == 3 * 2);
	have_all(&sc);
	await(told_count(&sc) == 3 * PIECES);
	scene_close(&sc, c, 3);
}

static void nobody_waits_for_ever(void **state)
{
	struct scene sc;
	struct child c[2];

	scene_open(&sc, state, 30);
	uploads(&sc, 100);
	child_follow(&sc, &c[0], 0, false);
	child_follow(&sc, &c[1], 1, false);
	have_all(&sc);
	await(told_count(&sc) == 2 * PIECES);
	scene_close(&sc, c, 2);
}

static void slots_grow_while_the_link_is_idle(void **state)
{
	struct scene sc;
	struct child c[2];

	scene_open(&sc, state, NEVER_MS);
	uploads(&sc, 4); /* children that take nothing */
	child_follow(&sc, &c[0], 0, false);
	child_follow(&sc, &c[1], 1, false);
	have_all(&sc);
	await(told_count(&sc) > 0);
	scene_close(&sc, c, 2);
}

static void who_is_left_alone_is_told_of_the_rest(void **state)
{
	struct scene sc;
	struct child c[2];

	scene_open(&sc, state, NEVER_MS);
	uploads(&sc, 100);
	child_follow(&sc, &c[0], 0, false);
	child_follow(&sc, &c[1], 1, false);
	have_all(&sc);
	child_leave(&c[0]);
	await(told_to(&sc, 1) == PIECES);
	scene_close(&sc, &c[1], 1);
}

static int setup(void **state)
{
	return setup_with(state, LENGTH, false);
}

#define herald_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		herald_test(who_is_alone_is_told_of_everything_at_once),
		herald_test(who_is_alone_and_paced_is_told_while_slots_are_free),
		herald_test(what_nobody_knows_is_told_first),
		herald_test(nobody_is_told_while_uploads_fill_the_slots),
		herald_test(urgent_lists_come_first),
		herald_test(who_is_full_is_told_after_the_others),
		herald_test(what_nobody_knows_comes_before_what_is_urgent),
		herald_test(while_it_comes_from_the_origin_nothing_is_told_twice),
		herald_test(nobody_waits_for_ever),
		herald_test(slots_grow_while_the_link_is_idle),
		herald_test(who_is_left_alone_is_told_of_the_rest),
	};
	int r;

	timer_start();
	r = cmocka_run_group_tests(tests, NULL, NULL);
	timer_stop();
	return r;
}
