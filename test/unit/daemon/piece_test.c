/* daemon/piece: every move of the table in piece.h, without any fetcher */
#include "test/unit/daemon/piece_fixture.h"

static void a_read_of_a_piece_that_is_here_is_answered_at_once(void **state)
{
	struct setting *s = *state;
	struct reader r = {0};

	piece_fill(s->f, s->st, 1, 5);
	again(s);
	assert_false(read_at(s, &r, 5 * PIECE + 7, 100));
	assert_int_equal(r.answers, 1);
	assert_int_equal(r.code, 0);
	assert_int_equal(r.x.fd, store_task_fd(s->st));
	assert_int_equal(r.x.off, 5 * PIECE + 7);
	assert_int_equal(r.x.len, 100);
	assert_null(r.x.hold);
	assert_int_equal(s->tally.hits, 1);
}

static void all_who_wait_are_answered_when_the_piece_comes(void **state)
{
	struct setting *s = *state;
	struct reader r[3] = {0};

	for (unsigned i = 0; i < 3; i++)
		read_at(s, &r[i], 2 * PIECE + i, 10);
	assert_int_equal(s->tally.waiters, 3);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 2);
	assert_int_equal(take(s, PIECE_URGENT, NULL), UINT32_MAX);
	assert_int_equal(r[0].answers, 0);
	deliver(s, 2);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(r[i].answers, 1);
		assert_int_equal(r[i].x.off, 2 * PIECE + i);
	}
	assert_true(piece_is_ready(s->p, 2));
	assert_int_equal(s->tally.waiters, 0);
	assert_int_equal(s->tally.misses, 3);
}

static void a_read_that_is_not_inside_one_piece_is_refused(void **state)
{
	static const struct {
		uint64_t off;
		uint32_t len;
	} bad[] = {{PIECE - 1, 2},	    {0, 0},	     {COUNT * PIECE - 11, 1},
		   {COUNT * PIECE - 12, 2}, {UINT64_MAX, 1}, {0, UINT32_MAX}};
	struct setting *s = *state;

	for (unsigned i = 0; i < array_len(bad); i++) {
		struct reader r = {0};

		assert_false(read_at(s, &r, bad[i].off, bad[i].len));
		assert_int_equal(r.answers, 1);
		assert_int_equal(r.code, EINVAL);
	}
}

static void a_reader_waits_no_longer_than_it_said(void **state)
{
	struct setting *s = *state;
	struct reader r = {.w = {.done = reader_done}};
	int64_t until = clock_ms() + 5000;

	assert_true(piece_read(s->p, 0, 1, &r.w, 10));
	while (__atomic_load_n(&r.answers, __ATOMIC_ACQUIRE) == 0 && clock_ms() < until)
		usleep(500);
	assert_int_equal(r.answers, 1);
	assert_int_equal(r.code, ETIMEDOUT);
	assert_int_equal(take(s, PIECE_URGENT, NULL), UINT32_MAX);
	assert_int_equal(s->tally.waiters, 0);
}

static void a_cancelled_read_is_not_answered(void **state)
{
	struct setting *s = *state;
	struct reader a = {0}, b = {0};

	read_piece(s, &a, 9);
	read_piece(s, &b, 9);
	assert_true(piece_read_cancel(&a.w));
	assert_false(piece_read_cancel(&a.w));
	assert_int_equal(take(s, PIECE_URGENT, NULL), 9);
	deliver(s, 9);
	assert_int_equal(a.answers, 0);
	assert_int_equal(b.answers, 1);
	assert_false(piece_read_cancel(&b.w));
}

static void a_piece_whose_last_reader_left_is_not_wanted(void **state)
{
	struct setting *s = *state;
	struct reader r = {0};

	read_piece(s, &r, 9);
	assert_true(piece_read_cancel(&r.w));
	assert_int_equal(take(s, PIECE_REST, NULL), UINT32_MAX);
	/* Also while it is fetched: the piece arrives for nobody. */
	read_piece(s, &r, 9);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 9);
	assert_true(piece_read_cancel(&r.w));
	deliver(s, 9);
	assert_int_equal(r.answers, 0);
	assert_true(piece_is_ready(s->p, 9));
}

static void too_many_waiters_of_one_task_are_refused(void **state)
{
	struct setting *s = *state;
	cleanup(free_at) struct reader *r = mem_array(PIECE_WAITERS_MAX + 1, sizeof(*r));
	struct err e = {0};

	for (unsigned i = 0; i < PIECE_WAITERS_MAX; i++)
		assert_true(read_piece(s, &r[i], i % COUNT));
	assert_false(read_piece(s, &r[PIECE_WAITERS_MAX], 0));
	assert_int_equal(r[PIECE_WAITERS_MAX].code, ENOBUFS);
	err_set(&e, EIO, "enough");
	pieces_fail(s->p, &e);
	for (unsigned i = 0; i < PIECE_WAITERS_MAX; i++) {
		assert_int_equal(r[i].answers, 1);
		assert_int_equal(r[i].code, EIO);
	}
}

static void too_many_waiters_in_all_are_refused(void **state)
{
	struct setting *s = *state;
	struct reader a = {0}, b = {0};

	s->tally.waiters_max = 1;
	assert_true(read_piece(s, &a, 0));
	assert_false(read_piece(s, &b, 1));
	assert_int_equal(b.code, ENOBUFS);
	assert_true(piece_read_cancel(&a.w));
	assert_true(read_piece(s, &b, 1));
	assert_true(piece_read_cancel(&b.w));
}

static void the_reader_that_waits_longest_comes_first(void **state)
{
	static const uint32_t order[] = {30, 4, 17};
	struct setting *s = *state;
	struct reader r[3] = {0};
	struct err e = {0};

	pieces_want_all(s->p, PIECE_REST);
	for (unsigned i = 0; i < 3; i++)
		read_piece(s, &r[i], order[i]);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(take(s, PIECE_REST, NULL), order[i]);
	assert_int_equal(take(s, PIECE_REST, NULL), 0);
	assert_int_equal(take(s, PIECE_REST, NULL), 1);
	err_set(&e, EIO, "enough");
	pieces_fail(s->p, &e);
}

static void reading_ahead_comes_before_the_rest(void **state)
{
	struct setting *s = *state;
	struct reader r = {0};
	struct piece_job job;

	pieces_want_all(s->p, PIECE_REST);
	piece_fill(s->f, s->st, 1, 20);
	again(s);
	pieces_want_all(s->p, PIECE_REST);
	read_at(s, &r, 20 * PIECE, 100);
	assert_true(read_at(s, &r, 20 * PIECE + 100, 100));
	assert_int_equal(take(s, PIECE_URGENT, NULL), UINT32_MAX);
	assert_true(piece_take(s->p, PIECE_NEAR, NULL, &job));
	assert_int_equal(job.index, 21);
	assert_int_equal(job.rank, PIECE_NEAR);
	assert_false(piece_take(s->p, PIECE_NEAR, NULL, &job));
	assert_true(piece_take(s->p, PIECE_REST, NULL, &job));
	assert_int_equal(job.index, 0);
	assert_int_equal(job.rank, PIECE_REST);
}

static void nothing_is_read_ahead_for_who_follows(void **state)
{
	struct setting *s = *state;
	struct reader r = {.w.follows = true};

	piece_fill(s->f, s->st, 1, 20);
	again(s);
	assert_false(read_at(s, &r, 20 * PIECE, 100));
	assert_false(read_at(s, &r, 20 * PIECE + 100, 100));
	assert_int_equal(take(s, PIECE_NEAR, NULL), UINT32_MAX);
	/* As for another: */
	r.w.follows = false;
	read_at(s, &r, 20 * PIECE, 100);
	assert_true(read_at(s, &r, 20 * PIECE + 100, 100));
	assert_int_equal(take(s, PIECE_NEAR, NULL), 21);
}

static void only_what_can_be_got_is_taken(void **state)
{
	const uint64_t have = UINT64_C(1) << 12 | UINT64_C(1) << 33;
	struct setting *s = *state;
	struct reader r = {0};
	struct pieces_need need;

	read_piece(s, &r, 7);
	pieces_need(s->p, &have, &need);
	assert_true(need.fetch && need.urgent && !need.possible);
	assert_int_equal(take(s, PIECE_URGENT, &have), UINT32_MAX);
	pieces_want_all(s->p, PIECE_REST);
	pieces_need(s->p, &have, &need);
	assert_true(need.possible);
	assert_int_equal(take(s, PIECE_REST, &have), 12);
	assert_int_equal(take(s, PIECE_REST, &have), 33);
	assert_int_equal(take(s, PIECE_REST, &have), UINT32_MAX);
	assert_true(piece_read_cancel(&r.w));
}

static uint32_t take_rare(struct setting *s, const struct piece_offer *o)
{
	struct piece_job job;

	return piece_take_rare(s->p, PIECE_REST, o, &job) ? job.index : UINT32_MAX;
}

static void the_rarest_comes_first_where_nobody_waits(void **state)
{
	const uint64_t have = 0xff00, one = 1u << 12 | 1u << 2, two = 1u << 9 | 1u << 14;
	const struct piece_offer o = {.have = &have, .rare = {&one, &two}, .from = 11};
	struct setting *s = *state;
	struct reader r = {0};

	read_piece(s, &r, 15);
	assert_int_equal(take_rare(s, &o), 15); /* a reader comes before */
	pieces_want_all(s->p, PIECE_REST);
	assert_int_equal(take_rare(s, &o), 12); /* not 2, which is not to be had */
	assert_int_equal(take_rare(s, &o), 14); /* the next from the beginning, round about */
	assert_int_equal(take_rare(s, &o), 9);
	assert_int_equal(take_rare(s, &o), 11);
	assert_int_equal(take_rare(s, &o), 13);
	assert_int_equal(take_rare(s, &o), 8);
	piece_give_back(s->p, 15);
	assert_true(piece_read_cancel(&r.w));
}

static void what_readers_want_is_taken_apart_from_the_rest(void **state)
{
	struct setting *s = *state;
	struct piece_job job;
	struct reader r = {0};

	pieces_want_all(s->p, PIECE_NEAR);
	assert_false(piece_take_near(s->p, PIECE_REST, NULL, &job));
	read_piece(s, &r, 7);
	assert_true(piece_take_near(s->p, PIECE_REST, NULL, &job));
	assert_int_equal(job.index, 7);
	assert_int_equal(job.rank, PIECE_URGENT);
	piece_give_back(s->p, 7);
	assert_true(piece_read_cancel(&r.w));
}

static void a_piece_given_back_is_the_next_to_be_taken(void **state)
{
	struct setting *s = *state;
	struct reader a = {0}, b = {0};

	read_piece(s, &a, 3);
	read_piece(s, &b, 20);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 3);
	piece_give_back(s->p, 3);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 3);
	deliver(s, 3);
	assert_int_equal(a.answers, 1);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 20);
	deliver(s, 20);
	/* Nobody waits for it: it is just absent again. */
	assert_true(piece_claim(s->p, 30));
	piece_give_back(s->p, 30);
	assert_int_equal(take(s, PIECE_REST, NULL), UINT32_MAX);
}

static void a_run_is_reserved_as_far_as_it_is_wanted(void **state)
{
	struct setting *s = *state;

	pieces_want_all(s->p, PIECE_REST);
	assert_int_equal(take(s, PIECE_REST, NULL), 0);
	assert_int_equal(piece_reserve(s->p, 0, PIECE_REST, 3, 1u << 30), 3);
	assert_int_equal(take(s, PIECE_REST, NULL), 4);
	assert_int_equal(piece_reserve(s->p, 4, PIECE_REST, 100, 2 * PIECE), 2);
	assert_int_equal(piece_reserve(s->p, 0, PIECE_REST, 3, 1u << 30), 0);
	assert_true(piece_claim(s->p, 1));
	assert_false(piece_claim(s->p, 1));
	piece_unreserve(s->p, 1, 3);
	assert_int_equal(take(s, PIECE_REST, NULL), 2);
	assert_int_equal(piece_reserve(s->p, 38, PIECE_REST, 9, 1u << 30), 1);
}

static void nothing_is_reserved_that_nobody_wants(void **state)
{
	struct setting *s = *state;
	struct reader a = {0}, b = {0};

	read_piece(s, &a, 10);
	read_piece(s, &b, 11);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 10);
	assert_int_equal(piece_reserve(s->p, 10, PIECE_URGENT, 9, 1u << 30), 1);
	assert_true(piece_claim(s->p, 11));
	deliver(s, 11);
	deliver(s, 10);
	assert_int_equal(a.answers + b.answers, 2);
}

static void a_reader_steals_what_a_run_would_bring_late(void **state)
{
	struct setting *s = *state;
	struct reader soon = {0}, late = {0};

	pieces_want_all(s->p, PIECE_REST);
	assert_int_equal(take(s, PIECE_REST, NULL), 0);
	assert_int_equal(piece_reserve(s->p, 0, PIECE_REST, 3, 1u << 30), 3);
	read_piece(s, &soon, 1);
	assert_int_equal(take(s, PIECE_URGENT, NULL), UINT32_MAX);
	read_piece(s, &late, 3);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 3);
	assert_true(piece_claim(s->p, 1));
	assert_true(piece_claim(s->p, 2));
	assert_false(piece_claim(s->p, 3));
	piece_unreserve(s->p, 1, 3);
	deliver(s, 3);
	deliver(s, 1);
	assert_int_equal(soon.answers + late.answers, 2);
}

static void what_a_peers_reader_waits_for_comes_after_our_own_and_before_the_rest(void **state)
{
	struct setting *s = *state;
	struct reader r = {0};

	pieces_want_all(s->p, PIECE_REST);
	read_piece(s, &r, 30);
	piece_hurry(s->p, 20);
	piece_hurry(s->p, 20);
	piece_hurry(s->p, COUNT);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 30);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 20);
	assert_int_equal(take(s, PIECE_URGENT, NULL), UINT32_MAX);
	piece_give_back(s->p, 20);
	assert_int_equal(take(s, PIECE_REST, NULL), 20);
	deliver(s, 20);
	assert_int_equal(take(s, PIECE_REST, NULL), 0);
	/* Out of a run that would bring it late, not out of one that it is next in. */
	assert_int_equal(piece_reserve(s->p, 0, PIECE_REST, 3, 1u << 30), 3);
	piece_hurry(s->p, 1);
	piece_hurry(s->p, 3);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 3);
	assert_int_equal(take(s, PIECE_URGENT, NULL), UINT32_MAX);
	piece_give_back(s->p, 0);
	piece_give_back(s->p, 3);
	piece_unreserve(s->p, 1, 2);
	deliver(s, 30);
	assert_int_equal(r.code, 0);
}

static void a_peers_reader_makes_nothing_wanted_and_hurries_a_few_pieces(void **state)
{
	struct setting *s = *state;
	struct pieces_need need;

	for (uint32_t i = 0; i <= PIECE_HURRIED_MAX; i++)
		piece_hurry(s->p, i);
	assert_int_equal(take(s, PIECE_REST, NULL), UINT32_MAX);
	pieces_need(s->p, NULL, &need);
	assert_false(need.fetch);
	pieces_want_all(s->p, PIECE_REST);
	/* The last one took the place of the first. */
	for (uint32_t n = 0; n < PIECE_HURRIED_MAX; n++)
		assert_in_range(take(s, PIECE_URGENT, NULL), 1, PIECE_HURRIED_MAX);
	assert_int_equal(take(s, PIECE_URGENT, NULL), UINT32_MAX);
	assert_int_equal(take(s, PIECE_REST, NULL), 0);
}

static void those_that_readers_wait_for_in_vain_are_told(void **state)
{
	struct setting *s = *state;
	int64_t began = clock_ms();
	struct reader r[4] = {0};
	uint64_t have = 1u << 0 | 1u << 3;
	struct piece_stuck stuck[4];

	for (unsigned i = 0; i < 4; i++)
		read_piece(s, &r[i], 2 + i);
	assert_int_equal(pieces_stuck(s->p, NULL, stuck, 2), 2);
	assert_int_equal(pieces_stuck(s->p, NULL, stuck, 4), 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(stuck[i].index, 2 + i);
		assert_int_equal(stuck[i].lacking, 2 + i);
		assert_in_range(stuck[i].since_ms, began, clock_ms());
	}
	assert_int_equal(take(s, PIECE_URGENT, NULL), 2); /* on its way */
	assert_int_equal(pieces_stuck(s->p, &have, stuck, 4), 2);
	assert_int_equal(stuck[0].index, 4);
	assert_int_equal(stuck[0].lacking, 1);
	assert_int_equal(stuck[1].index, 5);
	assert_int_equal(stuck[1].lacking, 2);
	piece_give_back(s->p, 2);
	for (unsigned i = 0; i < 4; i++)
		assert_true(piece_read_cancel(&r[i].w));
}

static void a_reader_of_a_reserved_piece_waits_for_the_run(void **state)
{
	struct setting *s = *state;
	struct reader r = {0};

	pieces_want_all(s->p, PIECE_REST);
	assert_int_equal(take(s, PIECE_REST, NULL), 0);
	piece_reserve(s->p, 0, PIECE_REST, 1, 1u << 30);
	read_piece(s, &r, 1);
	piece_unreserve(s->p, 1, 1);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 1);
	deliver(s, 1);
	assert_int_equal(r.answers, 1);
}

static void after_a_failure_nothing_is_wanted(void **state)
{
	struct setting *s = *state;
	struct reader r[2] = {0};
	struct err e = {0};
	struct pieces_need need;

	read_piece(s, &r[0], 0);
	read_piece(s, &r[1], 1);
	pieces_want_all(s->p, PIECE_REST);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 0);
	err_set(&e, EACCES, "refused");
	pieces_fail(s->p, &e);
	assert_int_equal(r[0].code, EACCES);
	assert_int_equal(r[1].code, EACCES);
	pieces_need(s->p, NULL, &need);
	assert_true(!need.fetch && !need.urgent && need.fetching && need.waiters == 0);
	piece_give_back(s->p, 0);
	assert_int_equal(take(s, PIECE_REST, NULL), UINT32_MAX);
}

static void an_unproven_piece_is_proved_not_fetched(void **state)
{
	struct setting *s = *state;
	struct reader r = {0};
	struct piece_job job;
	struct pieces_need need;

	piece_fill(s->f, s->st, 1, 6);
	piece_fill(s->f, s->st, 1, 7);
	store_task_unref(s->st);
	fixture_crash(s->f);
	s->st = task_find(s->f, 1);
	again(s);
	assert_true(read_piece(s, &r, 7));
	assert_int_equal(r.answers, 0);
	assert_int_equal(take(s, PIECE_REST, NULL), UINT32_MAX);
	assert_true(piece_take_proof(s->p, PIECE_URGENT, &job));
	assert_int_equal(job.index, 7);
	assert_ok(store_piece_prove(s->st, 7, &s->f->e));
	piece_publish(s->p, 7, -1);
	assert_int_equal(r.answers, 1);
	/* The other one in good time, though nobody asked. */
	pieces_need(s->p, NULL, &need);
	assert_true(need.proof && !need.fetch);
	assert_false(piece_take_proof(s->p, PIECE_NEAR, &job));
	assert_true(piece_take_proof(s->p, PIECE_REST, &job));
	assert_int_equal(job.index, 6);
	/* Its bytes are wrong: it is absent now. */
	piece_give_back(s->p, 6);
	pieces_want_all(s->p, PIECE_REST);
	assert_int_equal(take(s, PIECE_REST, NULL), 0);
}

static void what_was_forgotten_is_fetched_again(void **state)
{
	struct setting *s = *state;
	struct pieces_need need;

	task_fill(s->f, s->st, 1);
	again(s);
	pieces_need(s->p, NULL, &need);
	assert_true(need.complete);
	pieces_want_all(s->p, PIECE_REST);
	piece_forget(s->p, 13);
	assert_int_equal(pieces_ready_count(s->p), COUNT - 1);
	assert_int_equal(take(s, PIECE_REST, NULL), 13);
	piece_give_back(s->p, 13);
	pieces_forget_all(s->p);
	assert_int_equal(pieces_ready_bytes(s->p), 0);
	assert_int_equal(take(s, PIECE_REST, NULL), 0);
}

static void missing_pieces_are_listed(void **state)
{
	struct setting *s = *state;
	cleanup(free_at) uint32_t *missing = NULL;
	size_t count;

	for (uint32_t i = 0; i < COUNT; i++)
		if (i != 3 && i != 39)
			piece_fill(s->f, s->st, 1, i);
	again(s);
	missing = pieces_missing(s->p, &count);
	assert_int_equal(count, 2);
	assert_int_equal(missing[0], 3);
	assert_int_equal(missing[1], 39);
}

/* ---- a full disk */

static int fill_volatile(struct setting *s, uint32_t index)
{
	int fd = piece_fill(s->f, s->st, 1, index);

	assert_true(fd >= 0);
	return fd;
}

static void a_volatile_piece_is_for_readers_only(void **state)
{
	struct setting *s = *state;
	struct reader r = {0};
	int fd;

	read_piece(s, &r, 8);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 8);
	fd = fill_volatile(s, 8);
	piece_publish(s->p, 8, fd);
	assert_int_equal(r.answers, 1);
	assert_int_equal(r.x.fd, fd);
	assert_false(piece_is_ready(s->p, 8));
	assert_int_equal(s->tally.volatiles, 1);
	/* It is kept for a while. */
	read_piece(s, &r, 8);
	assert_int_equal(r.answers, 1);
	pieces_drop_volatile(s->p, 60000);
	assert_int_equal(s->tally.volatiles, 1);
	pieces_drop_volatile(s->p, 0);
	assert_int_equal(s->tally.volatiles, 0);
	assert_true(read_piece(s, &r, 8));
	assert_true(piece_read_cancel(&r.w));
}

static void a_kept_extent_outlives_its_piece(void **state)
{
	struct setting *s = *state;
	struct reader r = {.keep = true};
	int fd;

	read_piece(s, &r, 8);
	assert_int_equal(take(s, PIECE_URGENT, NULL), 8);
	piece_publish(s->p, 8, fill_volatile(s, 8));
	pieces_drop_volatile(s->p, 0);
	assert_non_null(r.x.hold);
	fd = r.x.fd;
	assert_true(piece_is_right(s->st, fd, 1, 8));
	extent_release(&r.x);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void few_volatile_pieces_are_kept(void **state)
{
	struct setting *s = *state;
	struct reader r = {0};

	for (uint32_t i = 0; i < 10; i++) {
		assert_true(piece_claim(s->p, i));
		piece_publish(s->p, i, fill_volatile(s, i));
	}
	assert_int_equal(s->tally.volatiles, 4);
	read_piece(s, &r, 9);
	assert_int_equal(r.answers, 1);
	assert_true(read_piece(s, &r, 5));
	assert_true(piece_read_cancel(&r.w));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_setting(a_read_of_a_piece_that_is_here_is_answered_at_once),
		with_setting(all_who_wait_are_answered_when_the_piece_comes),
		with_setting(a_read_that_is_not_inside_one_piece_is_refused),
		with_setting(a_reader_waits_no_longer_than_it_said),
		with_setting(a_cancelled_read_is_not_answered),
		with_setting(a_piece_whose_last_reader_left_is_not_wanted),
		with_setting(too_many_waiters_of_one_task_are_refused),
		with_setting(too_many_waiters_in_all_are_refused),
		with_setting(the_reader_that_waits_longest_comes_first),
		with_setting(reading_ahead_comes_before_the_rest),
		with_setting(nothing_is_read_ahead_for_who_follows),
		with_setting(only_what_can_be_got_is_taken),
		with_setting(the_rarest_comes_first_where_nobody_waits),
		with_setting(what_readers_want_is_taken_apart_from_the_rest),
		with_setting(a_piece_given_back_is_the_next_to_be_taken),
		with_setting(a_run_is_reserved_as_far_as_it_is_wanted),
		with_setting(nothing_is_reserved_that_nobody_wants),
		with_setting(a_reader_steals_what_a_run_would_bring_late),
		with_setting(what_a_peers_reader_waits_for_comes_after_our_own_and_before_the_rest),
		with_setting(a_peers_reader_makes_nothing_wanted_and_hurries_a_few_pieces),
		with_setting(those_that_readers_wait_for_in_vain_are_told),
		with_setting(a_reader_of_a_reserved_piece_waits_for_the_run),
		with_setting(after_a_failure_nothing_is_wanted),
		with_setting(an_unproven_piece_is_proved_not_fetched),
		with_setting(what_was_forgotten_is_fetched_again),
		with_setting(missing_pieces_are_listed),
		with_full_disk(a_volatile_piece_is_for_readers_only),
		with_full_disk(a_kept_extent_outlives_its_piece),
		with_full_disk(few_volatile_pieces_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
