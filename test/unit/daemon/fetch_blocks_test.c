/* daemon/transfer by blocks: what readers see of a piece before all of it is here */
#include "test/unit/daemon/task_fixture.h"

#include "daemon/piece_feed.h"

#define COUNT  21
#define LENGTH (20 * PIECE + 5)
#define ALL    ((UINT64_C(1) << COUNT) - 1)
#define BLOCK  (PIECE / PIECE_BLOCKS)
#define AT     (7 * PIECE + 9 * BLOCK + 5) /* where the first reader reads */

/* Peer 0 answers by blocks: two of them, then it waits. Peer 1 is a Dragonfly parent. */
static int setup(void **state)
{
	int r = setup_known(state, LENGTH);

	log_set_level((enum log_level) - 1);
	fake.peers[0].has = ALL;
	fake.peers[0].by_blocks = fake.peers[0].held = true;
	fake.peers[0].early_blocks = 2;
	fake_will_say(parents_of(3));
	return r;
}

/* A read whose bytes are kept, to be looked at once more. */
struct keeping {
	struct waiter w;
	struct extent x;
	uint64_t off;
	int answers; /* atomic */
};

static void keeping_done(struct waiter *w, const struct extent *x, const struct err *e)
{
	struct keeping *k = container_of(w, struct keeping, w);

	assert_null(e);
	k->x = extent_keep(x);
	__atomic_add_fetch(&k->answers, 1, __ATOMIC_RELEASE);
}

static void keep_start(struct task *t, struct keeping *k, uint64_t off)
{
	*k = (struct keeping){.w = {.done = keeping_done}, .off = off};
	task_read(t, off, 100, &k->w, 0);
}

static bool is_kept(struct keeping *k)
{
	return __atomic_load_n(&k->answers, __ATOMIC_ACQUIRE) > 0;
}

static void assert_kept(struct keeping *k)
{
	unsigned char got[100], want[100];

	await(is_kept(k));
	bytes_of(SEED, k->off, 100, want);
	assert_int_equal(pread(k->x.fd, got, 100, (off_t)k->x.off), 100);
	assert_memory_equal(got, want, 100);
}

/* With a reader who has its bytes before their piece is here. */
static struct task *begin(struct setting *s, struct keeping *first)
{
	struct task *t = open_url(s, URL);

	keep_start(t, first, AT);
	assert_kept(first);
	return t;
}

static void end(struct task *t, struct keeping *first)
{
	assert_kept(first);
	extent_release(&first->x);
	task_unref(t);
}

static void assert_right(struct task *t)
{
	task_want_all(t, TASK_REST);
	await(is_complete(t));
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(read_piece(t, i), 0);
	assert_int_equal(fake_get(gets), 0);
}

static void a_reader_has_its_bytes_before_their_piece_is_here(void **state)
{
	struct setting *s = *state;
	struct reading whole, later;
	struct keeping first;
	struct task *t = begin(s, &first);

	assert_int_equal(fake_get(peers[0].block_fetches), 1);
	assert_false(task_piece_ready(t, 7));
	assert_int_equal(read_at(t, AT + BLOCK, 5), 0); /* the second of the two */
	read_start(t, &later, AT + 2 * BLOCK, 5, 0);
	read_start(t, &whole, 7 * PIECE, PIECE, 0);
	assert_false(is_answered(&later));
	assert_false(is_answered(&whole));
	fake_set(fake.peers[0].held = false);
	assert_int_equal(read_finish(&later), 0);
	assert_int_equal(read_finish(&whole), 0);
	assert_right(t);
	/* What nobody waits for as well: others may wait for it. */
	assert_int_equal(fake_get(peers[0].block_fetches), COUNT);
	assert_int_equal(fake_get(peers[0].fetches), COUNT);
	end(t, &first);
}

static void a_dragonfly_parent_is_never_asked_by_blocks(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct reading r;

	fake_set((fake.peers[0].by_blocks = false, fake.peers[0].half = true));
	read_start(t, &r, 7 * PIECE, 5, 0);
	await(fake_get(peers[0].urgent_fetches) == 1);
	assert_false(is_answered(&r));
	fake_set(fake.peers[0].held = false);
	assert_int_equal(read_finish(&r), 0);
	assert_int_equal(fake_get(peers[0].block_fetches), 0);
	assert_right(t);
	task_unref(t);
}

static void a_wrong_block_costs_its_parent_and_nobody_sees_it(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct keeping first;
	struct reading r;

	fake_set(fake.peers[0].corrupt_block = 11);
	keep_start(t, &first, AT);
	read_start(t, &r, AT + 2 * BLOCK, 5, 0); /* in the wrong one */
	assert_kept(&first);
	fake_set(fake.peers[0].held = false);
	await(fake_get(pieces_failed) >= 1);
	assert_false(is_answered(&r));
	assert_true(stat_now(s).digest_failures >= 1);
	fake_peer_gets(1, ALL);
	assert_int_equal(read_finish(&r), 0);
	assert_right(t);
	end(t, &first);
}

static void digests_of_blocks_that_are_not_the_pieces_are_refused(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct reading r;

	fake_set(fake.peers[0].odd_blocks = true);
	read_start(t, &r, AT, 5, 0);
	await(fake_get(pieces_failed) >= 1);
	assert_false(is_answered(&r));
	assert_true(stat_now(s).digest_failures >= 1);
	fake_peer_gets(1, ALL);
	assert_int_equal(read_finish(&r), 0);
	assert_right(t);
	task_unref(t);
}

/* The next parent's bytes are wrong and agree with their digest: they take the place in the store.
 */
static void what_was_read_stays_though_the_connection_broke_and_others_wrote(void **state)
{
	struct setting *s = *state;
	struct keeping first, others;
	struct task *t = begin(s, &first);
	unsigned char got[100], right[100];
	struct reading r;

	read_start(t, &r, AT + 4 * BLOCK, 5, 0);
	/* It may be asked once more before it is dropped, and has no block to show then. */
	fake_set((fake.peers[1].lies = true, fake.peers[0].error = EPROTO,
		  fake.peers[0].early_blocks = 0, fake.peers[0].held = false));
	await(fake_get(pieces_failed) >= 1);
	assert_false(is_answered(&r));
	fake_peer_gets(1, ALL);
	assert_int_equal(read_finish(&r), -1);
	keep_start(t, &others, AT);
	await(is_kept(&others));
	bytes_of(SEED, AT, 100, right);
	assert_int_equal(pread(others.x.fd, got, 100, (off_t)others.x.off), 100);
	assert_memory_not_equal(got, right, 100);
	extent_release(&others.x);
	end(t, &first);
}

struct hearing_of {
	struct task_watch watch;
	unsigned coming, ready; /* atomic */
};

static void heard_coming(struct task_watch *w, uint32_t index, bool comes)
{
	if (index == 7 && comes)
		__atomic_add_fetch(&container_of(w, struct hearing_of, watch)->coming, 1,
				   __ATOMIC_RELEASE);
}

static void heard_ready(struct task_watch *w, uint32_t index, const struct err *e)
{
	if (index == 7 && !e)
		__atomic_add_fetch(&container_of(w, struct hearing_of, watch)->ready, 1,
				   __ATOMIC_RELEASE);
}

static void others_hear_of_a_piece_when_a_quarter_is_here(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct hearing_of h = {.watch = {.changed = heard_ready, .coming = heard_coming}};
	struct store_task *st;
	struct store_coming *c;
	struct reading r;
	uint32_t len;

	list_init(&h.watch.link);
	task_watch(t, &h.watch);
	fake_set(fake.peers[0].early_blocks = 4);
	read_start(t, &r, 7 * PIECE, PIECE, 0); /* from the first block on */
	await(__atomic_load_n(&h.coming, __ATOMIC_ACQUIRE) == 1);
	assert_int_equal(__atomic_load_n(&h.ready, __ATOMIC_ACQUIRE), 0);
	assert_ok(store_find(s->f->store, task_meta(t)->id, &st, &s->f->e));
	c = store_coming_find(st, 7);
	assert_non_null(c);
	await(store_coming_stretch(c, 0, &len) && len == 4 * BLOCK);
	fake_set(fake.peers[0].held = false);
	assert_int_equal(read_finish(&r), 0);
	assert_true(store_coming_stretch(c, 0, &len));
	assert_int_equal(len, PIECE);
	await(__atomic_load_n(&h.ready, __ATOMIC_ACQUIRE) == 1);
	assert_int_equal(__atomic_load_n(&h.coming, __ATOMIC_ACQUIRE), 1);
	assert_null(store_coming_find(st, 7));
	task_unwatch(t, &h.watch);
	store_coming_unref(c);
	store_task_unref(st);
	task_unref(t);
}

/* It had it from somebody who went: it is as good as before for all other pieces. */
static void a_parent_that_lost_what_it_passed_on_is_kept(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct reading r;

	fake_set((fake.peers[0].coming = true, fake.peers[0].error = EPROTO,
		  fake.peers[0].held = false));
	read_start(t, &r, AT, 5, 0);
	assert_int_equal(read_finish(&r), 0); /* of the blocks that came before */
	await(stat_now(s).pieces_failed >= 1);
	assert_int_equal(fake_get(pieces_failed), 0); /* the scheduler need not know */
	fake_set((fake.peers[0].coming = false, fake.peers[0].error = 0));
	fake_peer_gets(1, UINT64_C(1) << 7);
	assert_right(t);
	assert_int_equal(fake_get(peers[1].fetches), 1);
	assert_true(fake_get(peers[0].fetches) >= COUNT);
	task_unref(t);
}

static void ignore(void *arg)
{
	(void)arg;
}

static bool is_given(struct piece_feed *f)
{
	uint32_t number;

	return piece_feed_next(f, &number);
}

/* A child that was told of a piece as it came need not hear of it again, but its stream stays open
 * until that is certain. */
static void what_was_given_as_it_came_is_settled_when_it_is_here(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	const uint32_t seven = 7;
	struct piece_feed feed, others;
	struct reading r;

	piece_feed_open(&feed, t, &seven, 1, 0, 0, ignore, NULL);
	piece_feed_open(&others, t, &seven, 1, 0, 0, ignore, NULL);
	piece_feed_take_coming(&feed);
	fake_set(fake.peers[0].early_blocks = 4);
	read_start(t, &r, 7 * PIECE, PIECE, 0);
	await(piece_feed_has(&feed));
	assert_true(is_given(&feed));
	assert_int_equal(piece_feed_left(&feed), 1);
	assert_false(piece_feed_has(&feed));
	assert_false(piece_feed_has(&others)); /* a Dragonfly child's */
	fake_set(fake.peers[0].held = false);
	assert_int_equal(read_finish(&r), 0);
	await(piece_feed_left(&feed) == 0);
	assert_false(piece_feed_has(&feed));
	await(piece_feed_has(&others));
	assert_true(is_given(&others));
	assert_int_equal(piece_feed_left(&others), 0);
	piece_feed_close(&feed);
	piece_feed_close(&others);
	task_unref(t);
}

static void what_was_given_as_it_came_and_is_lost_is_given_again(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	const uint32_t seven = 7;
	struct piece_feed feed;
	struct reading r;

	piece_feed_open(&feed, t, &seven, 1, 0, 0, ignore, NULL);
	piece_feed_take_coming(&feed);
	fake_set(fake.peers[0].early_blocks = 4);
	read_start(t, &r, 7 * PIECE, PIECE, 0);
	await(piece_feed_has(&feed));
	assert_true(is_given(&feed));
	fake_set((fake.peers[0].error = EPROTO, fake.peers[0].by_blocks = false,
		  fake.peers[0].held = false));
	await(stat_now(s).pieces_failed >= 1);
	assert_false(is_given(&feed));
	fake_peer_gets(1, ALL);
	assert_int_equal(read_finish(&r), 0);
	await(piece_feed_has(&feed));
	assert_true(is_given(&feed));
	assert_int_equal(piece_feed_left(&feed), 0);
	piece_feed_close(&feed);
	task_unref(t);
}

static void a_second_copy_that_wins_changes_nothing_that_was_shown(void **state)
{
	struct setting *s = *state;
	struct keeping first;
	struct reading r;
	struct task *t;

	setting_stop(s);
	s->config.second_ms = 50;
	setting_start(s);
	t = begin(s, &first);
	read_start(t, &r, AT + 4 * BLOCK, 5, 0);
	fake_peer_gets(1, UINT64_C(1) << 7);
	assert_int_equal(read_finish(&r), 0);
	assert_int_equal(stat_now(s).seconds_used, 1);
	assert_int_equal(fake_get(peers[1].block_fetches), 0);
	fake_set(fake.peers[0].held = false);
	assert_right(t);
	end(t, &first);
}

static void on_a_full_disk_readers_have_their_blocks_too(void **state)
{
	struct setting *s = *state;
	struct keeping first;
	struct reading r;
	struct task *t;

	setting_stop(s);
	s->f->config.quota = 1;
	fixture_reopen(s->f);
	s->config.store = s->f->store;
	setting_start(s);
	t = begin(s, &first);
	read_start(t, &r, AT + 4 * BLOCK, 5, 0);
	fake_set(fake.peers[0].held = false);
	assert_int_equal(read_finish(&r), 0);
	assert_int_equal(task_piece_ready(t, 7), false);
	end(t, &first);
}

static void without_memory_to_show_it_a_reader_waits_for_the_piece(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct reading r;
	int fd;

	assert_ok(store_shown_open(s->f->store, 64 << 20, &fd, &s->f->e));
	read_start(t, &r, AT, 5, 0);
	await(fake_get(peers[0].block_fetches) == 1);
	assert_false(is_answered(&r));
	fake_set(fake.peers[0].held = false);
	assert_int_equal(read_finish(&r), 0);
	assert_right(t);
	store_volatile_close(s->f->store, fd);
	task_unref(t);
}

#define with_parents(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_parents(a_reader_has_its_bytes_before_their_piece_is_here),
		with_parents(a_dragonfly_parent_is_never_asked_by_blocks),
		with_parents(a_wrong_block_costs_its_parent_and_nobody_sees_it),
		with_parents(digests_of_blocks_that_are_not_the_pieces_are_refused),
		with_parents(what_was_read_stays_though_the_connection_broke_and_others_wrote),
		with_parents(others_hear_of_a_piece_when_a_quarter_is_here),
		with_parents(a_parent_that_lost_what_it_passed_on_is_kept),
		with_parents(what_was_given_as_it_came_is_settled_when_it_is_here),
		with_parents(what_was_given_as_it_came_and_is_lost_is_given_again),
		with_parents(a_second_copy_that_wins_changes_nothing_that_was_shown),
		with_parents(on_a_full_disk_readers_have_their_blocks_too),
		with_parents(without_memory_to_show_it_a_reader_waits_for_the_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
