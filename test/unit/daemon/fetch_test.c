/* daemon/fetch: schedulers and parents, good, bad and silent, through the eyes of a task */
#include "test/unit/daemon/task_fixture.h"

#define COUNT  21
#define LENGTH (20 * PIECE + 5)
#define ALL    ((UINT64_C(1) << COUNT) - 1)

#define go_to_origin   ((struct fake_reply){.what = SAY_ORIGIN})
#define silence	       ((struct fake_reply){.what = SAY_NOTHING})
#define closed_with(c) ((struct fake_reply){.what = SAY_CLOSED, .code = (c)})

/* The cluster knows the task; both peers have all of it. */
static int setup(void **state)
{
	int r = setup_known(state, LENGTH);

	fake.peers[0].has = fake.peers[1].has = ALL;
	fake_will_say(parents_of(1));
	return r;
}

static int setup_quiet(void **state)
{
	int r = setup(state);

	log_set_level((enum log_level) - 1);
	return r;
}

static struct task *open_digest(struct setting *s, char *digest)
{
	struct task_request rq = request_of(URL);

	name_by_digest(&rq, digest);
	return open_task(s, &rq);
}

static void assert_right(struct task *t)
{
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(read_piece(t, i), 0);
}

static void pieces_come_from_a_parent_and_are_reported(void **state)
{
	struct setting *s = *state;
	struct task *t = open_whole(s);
	struct task_progress p;

	await(is_complete(t));
	assert_right(t);
	await(fake_get(drops) == 1 && fake_get(peers[0].frees) == 1);
	assert_int_equal(fake_get(stats) + fake_get(gets), 0);
	assert_int_equal(fake_get(registers), 1);
	assert_int_equal(fake_get(started), 1);
	assert_int_equal(fake_get(to_origin), 0);
	assert_int_equal(fake_get(pieces_finished), COUNT);
	assert_int_equal(fake_get(finished), 1);
	assert_int_equal(fake_get(peers[0].fetches), COUNT);
	assert_true(fake_says(fake.registered_url, URL));
	task_progress(t, &p);
	assert_int_equal(p.from_peers, LENGTH);
	assert_int_equal(p.from_origin, 0);
	task_unref(t);
}

static void work_is_shared_among_parents(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(3));
	fake_set(fake.peers[0].held = fake.peers[1].held = true);
	t = open_whole(s);
	await(fake_get(peers[0].announcements) == 1 && fake_get(peers[1].announcements) == 1);
	await(fake_get(peers[0].fetches) + fake_get(peers[1].fetches) >= 6);
	fake_set(fake.peers[0].held = fake.peers[1].held = false);
	await(is_complete(t));
	assert_true(fake_get(peers[1].fetches) > 2);
	assert_int_equal(fake_get(peers[0].fetches) + fake_get(peers[1].fetches), COUNT);
	task_unref(t);
}

static void a_reader_overtakes_the_prefetch_at_a_parent(void **state)
{
	struct setting *s = *state;
	struct task *t;
	struct reading r;

	fake_set(fake.peers[0].held = true);
	t = open_whole(s);
	await(fake_get(peers[0].fetches) == 8);
	read_start(t, &r, 20 * PIECE, 5, 0);
	await(fake_get(peers[0].fetches) == 9);
	assert_int_equal(fake_get(peers[0].urgent_fetches), 1);
	fake_set(fake.peers[0].held = false);
	assert_int_equal(read_finish(&r), 0);
	await(is_complete(t));
	assert_int_equal(fake_get(peers[0].fetches), COUNT);
	assert_int_equal(fake_get(peers[0].urgent_fetches), 1);
	task_unref(t);
}

/* ---- schedulers */

static void without_a_scheduler_that_answers_the_origin_is_asked(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(closed_with(EHOSTUNREACH));
	t = open_whole(s);
	await(is_complete(t));
	assert_right(t);
	assert_int_equal(fake_get(bytes), LENGTH);
	task_unref(t);
}

static void a_scheduler_that_falls_silent_costs_its_deadline(void **state)
{
	struct setting *s = *state;
	struct task *t;
	struct reading r;

	fake_will_say(silence);
	t = open_url(s, URL);
	read_start(t, &r, 0, 10, 0);
	await(fake_get(registers) == 1);
	assert_false(is_answered(&r));
	fake_speak(closed_with(ETIMEDOUT));
	assert_int_equal(read_finish(&r), 0);
	assert_true(fake_get(gets) > 0);
	task_unref(t);
}

static void who_is_told_so_goes_to_the_origin_and_reports(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(go_to_origin);
	t = open_whole(s);
	await(is_complete(t));
	await(fake_get(drops) == 1);
	assert_int_equal(fake_get(to_origin), 1);
	assert_int_equal(fake_get(started), 0);
	assert_int_equal(fake_get(pieces_finished), COUNT);
	assert_int_equal(fake_get(finished), 1);
	assert_int_equal(fake_get(bytes), LENGTH);
	task_unref(t);
}

static void who_reads_the_origin_tells_the_next_scheduler_of_it(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.held = true);
	fake_will_say(go_to_origin);
	t = open_whole(s);
	await(fake_get(to_origin) == 1);
	fake_speak(closed_with(EHOSTUNREACH));
	await(fake_get(to_origin) == 2);
	assert_int_equal(fake_get(registers), 2);
	assert_int_equal(fake_get(origin_registers), 1); /* as one that reads the origin already */
	fake_set(fake.held = false);
	await(is_complete(t));
	await(fake_get(finished) == 1);
	assert_int_equal(fake_get(bytes), LENGTH);
	task_unref(t);
}

static void a_refusal_by_the_scheduler_is_final(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);

	fake_will_say(closed_with(EACCES));
	assert_int_equal(read_piece(t, 0), EACCES);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void a_seed_goes_to_the_origin_before_the_scheduler_answers(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct task *t;

	fake_will_say(silence);
	rq.need_back_to_source = true;
	t = open_task(s, &rq);
	task_want_all(t, TASK_REST);
	await(is_complete(t));
	assert_int_equal(fake_get(origin_registers), 1);
	/* Nothing was told yet, and the conversation waits for the answer. */
	assert_int_equal(fake_get(pieces_finished) + fake_get(finished) + fake_get(drops), 0);
	fake_speak(go_to_origin);
	await(fake_get(drops) == 1);
	assert_int_equal(fake_get(to_origin), 1);
	assert_int_equal(fake_get(pieces_finished), COUNT);
	assert_int_equal(fake_get(finished), 1);
	task_unref(t);
}

static void the_first_run_has_the_origins_link_to_itself(void **state)
{
	struct setting *s = *state;
	struct reading r;
	struct task *t;

	fake_will_say(go_to_origin);
	fake_set(fake.held = true);
	t = open_whole(s);
	await(fake_get(gets) == 1);
	/* Only a reader gets another one before the first piece is here. */
	read_start(t, &r, 20 * PIECE, 5, 0);
	await(fake_get(gets) == 2);
	assert_int_equal(fake_get(running), 2);
	fake_set(fake.held = false);
	assert_int_equal(read_finish(&r), 0);
	await(is_complete(t));
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(fake_get(fetched[i]), 1);
	task_unref(t);
}

static void a_peer_that_becomes_a_seed_leaves_its_parents_out(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct task *t, *again;

	fake_set(fake.peers[0].has = 0);
	t = open_whole(s);
	await(fake_get(peers[0].opens) == 1);
	rq.need_back_to_source = true;
	again = open_task(s, &rq);
	assert_ptr_equal(t, again);
	await(is_complete(t));
	assert_int_equal(fake_get(to_origin), 1);
	task_unref(again);
	task_unref(t);
}

static void parents_are_kept_when_the_scheduler_dies(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.peers[0].held = true);
	t = open_whole(s);
	await(fake_get(peers[0].fetches) == 8);
	fake_speak(closed_with(EPIPE));
	fake_set(fake.peers[0].held = false);
	await(is_complete(t));
	assert_int_equal(fake_get(gets), 0);
	assert_int_equal(fake_get(registers), 1);
	task_unref(t);
}

static void who_lost_its_scheduler_gets_more_parents_from_the_next(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(1), parents_of(2));
	fake_set(fake.peers[0].held = true);
	t = open_whole(s);
	await(fake_get(peers[0].fetches) == 8);
	fake_speak(closed_with(EHOSTUNREACH));
	await(fake_get(registers) == 2);
	await(fake_get(peers[1].opens) == 1);
	assert_int_equal(fake_get(origin_registers), 0);
	fake_set(fake.peers[0].held = false);
	await(is_complete(t));
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void a_scheduler_that_has_just_begun_sends_no_one_to_the_origin_who_has_parents(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(1), go_to_origin);
	fake_set(fake.peers[0].held = true);
	t = open_whole(s);
	await(fake_get(peers[0].fetches) == 8);
	fake_speak(closed_with(EHOSTUNREACH));
	await(fake_get(started) == 2);
	fake_set(fake.peers[0].held = false);
	await(is_complete(t));
	await(fake_get(finished) == 1);
	assert_int_equal(fake_get(registers), 2);
	assert_int_equal(fake_get(to_origin), 0);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void a_scheduler_that_came_back_is_asked_once_more(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(1), parents_of(2));
	fake_set(fake.peers[0].has = 3);
	t = open_whole(s);
	await(task_piece_ready(t, 0) && task_piece_ready(t, 1));
	fake_speak(closed_with(EPIPE));
	await(is_complete(t));
	assert_int_equal(fake_get(registers), 2);
	assert_int_equal(fake_get(gets), 0);
	assert_int_equal(fake_get(peers[1].fetches), COUNT - 2);
	task_unref(t);
}

static void without_scheduler_and_parents_the_origin_gives_the_rest(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.peers[0].has = 3);
	t = open_whole(s);
	await(task_piece_ready(t, 0) && task_piece_ready(t, 1));
	fake_set(fake.alive = 0);
	fake_speak(closed_with(EPIPE));
	await(is_complete(t));
	assert_int_equal(fake_get(registers), 1);
	assert_int_equal(fake_get(fetched[0]) + fake_get(fetched[1]), 0);
	assert_int_equal(fake_get(bytes), LENGTH - 2 * PIECE);
	assert_right(t);
	task_unref(t);
}

/* ---- parents */

static void wrong_bytes_are_refused_and_fetched_elsewhere(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(3));
	fake_set(fake.peers[0].corrupt = true);
	/* The good one is slow, so that the bad one is asked too. */
	fake_set(fake.peers[1].held = true);
	t = open_whole(s);
	await(fake_get(peers[0].fetches) > 0);
	fake_set(fake.peers[1].held = false);
	await(is_complete(t));
	assert_right(t);
	await(fake_get(peers[0].frees) == 1);
	assert_true(stat_now(s).digest_failures >= 1);
	assert_true(fake_get(pieces_failed) >= 1);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void who_sent_wrong_bytes_is_never_asked_again(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(1), go_to_origin, parents_of(1), go_to_origin);
	fake_set(fake.peers[0].corrupt = true);
	t = open_url(s, URL);
	assert_int_equal(read_piece(t, 0), 0);
	assert_int_equal(fake_get(peers[0].opens), 1);
	/* A conversation later. */
	await(fake_get(drops) == 1);
	assert_int_equal(read_piece(t, 15), 0);
	assert_int_equal(fake_get(registers), 2);
	assert_int_equal(fake_get(peers[0].opens), 1);
	task_unref(t);
}

static void bytes_without_digest_are_refused(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(1), parents_of(2));
	fake_set(fake.peers[0].no_digest = true);
	t = open_whole(s);
	await(is_complete(t));
	assert_right(t);
	assert_int_equal(fake_get(peers[1].fetches), COUNT);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void a_parent_that_speaks_of_other_content_is_dropped(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(1), parents_of(2));
	fake_set(fake.peers[0].odd_len = 1);
	t = open_whole(s);
	await(is_complete(t));
	assert_int_equal(fake_get(peers[0].fetches), 0);
	assert_int_equal(fake_get(reschedules), 1);
	task_unref(t);
}

static void a_parent_that_cannot_be_reached_is_replaced(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(1), parents_of(2));
	fake_set(fake.peers[0].error = ECONNREFUSED);
	t = open_whole(s);
	await(is_complete(t));
	assert_int_equal(fake_get(reschedules), 1);
	assert_int_equal(fake_get(tried), 1);
	await(fake_get(peers[0].frees) == 1);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void a_parent_whose_stream_breaks_at_once_is_replaced(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(1), parents_of(2));
	fake_set(fake.peers[0].has = 0; fake.peers[0].closes = EHOSTUNREACH);
	t = open_whole(s);
	await(is_complete(t));
	await(fake_get(peers[0].frees) == 1);
	assert_int_equal(fake_get(peers[1].fetches), COUNT);
	task_unref(t);
}

static void what_a_parent_announced_is_fetched_though_its_stream_ended(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.peers[0].closes = EPIPE);
	t = open_whole(s);
	await(is_complete(t));
	assert_int_equal(fake_get(peers[0].fetches), COUNT);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void a_parent_that_lacks_pieces_after_all_is_dropped(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(parents_of(1), parents_of(2));
	fake_set(fake.peers[0].error = ENOENT);
	t = open_whole(s);
	await(is_complete(t));
	assert_true(fake_get(peers[0].fetches) >= 3);
	assert_true(fake_get(peers[0].fetches) < COUNT);
	task_unref(t);
}

static void after_five_vain_answers_the_origin_is_asked(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.peers[0].error = ECONNRESET);
	t = open_whole(s);
	await(is_complete(t));
	assert_right(t);
	assert_int_equal(fake_get(reschedules), 5);
	assert_int_equal(fake_get(to_origin), 1);
	assert_int_equal(fake_get(bytes), LENGTH);
	task_unref(t);
}

static void without_leave_for_the_origin_the_read_fails(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct task *t;

	rq.disable_back_to_source = true;
	fake_set(fake.peers[0].error = ECONNRESET);
	t = open_task(s, &rq);
	assert_int_equal(read_piece(t, 0), EHOSTUNREACH);
	fake_will_say(go_to_origin);
	await(fake_get(registers) > 1 || read_piece(t, 1) == EHOSTUNREACH);
	assert_int_equal(fake_get(gets), 0);
	assert_int_equal(fake_get(failed) > 0, 1);
	task_unref(t);
}

static void pieces_are_fetched_as_a_parent_gets_them(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.peers[0].has = 1);
	t = open_whole(s);
	for (unsigned i = 1; i <= COUNT; i++) {
		await(task_piece_ready(t, i - 1));
		fake_peer_gets(0, UINT64_C(1) << i & ALL);
	}
	await(is_complete(t));
	assert_int_equal(fake_get(reschedules), 0);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void parents_that_say_nothing_are_replaced_after_a_while(void **state)
{
	struct setting *s = *state;
	int64_t since = clock_ms();
	struct task *t;

	fake_will_say(parents_of(1), parents_of(2));
	fake_set(fake.peers[0].has = 0);
	t = open_whole(s);
	await(is_complete(t));
	assert_true(clock_ms() - since >= 200);
	assert_int_equal(fake_get(reschedules), 1);
	assert_int_equal(fake_get(peers[1].fetches), COUNT);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void a_reader_is_served_though_all_parents_say_nothing(void **state)
{
	struct setting *s = *state;
	int64_t since = clock_ms();
	struct task *t;

	/* By the origin for just this piece, or by the scheduler's word: whichever comes first. */
	fake_will_say(parents_of(1), go_to_origin);
	fake_set(fake.peers[0].has = 0);
	t = open_url(s, URL);
	assert_int_equal(read_at(t, 9 * PIECE, 10), 0);
	assert_true(clock_ms() - since >= 200);
	assert_int_equal(fake_get(fetched[9]), 1);
	task_unref(t);
}

static void a_parent_is_not_given_up_while_its_bytes_come(void **state)
{
	struct setting *s = *state;
	struct task *t;
	struct reading r;

	fake_set(fake.peers[0].has = 1; fake.peers[0].held = true);
	t = open_url(s, URL);
	read_start(t, &r, 0, 10, 0);
	await(fake_get(peers[0].fetches) == 1);
	int64_t end = clock_ms() + 400;
	await(clock_ms() > end);
	assert_int_equal(fake_get(reschedules), 0);
	fake_set(fake.peers[0].held = false);
	assert_int_equal(read_finish(&r), 0);
	task_unref(t);
}

static void a_reader_does_not_wait_for_a_parent_that_is_far_behind(void **state)
{
	struct setting *s = *state;
	struct reading r;
	struct task *t;

	/* It has pieces in plenty, sends slowly, and is far from the one that is read. */
	fake_set(fake.peers[0].has = 0xff; fake.peers[0].held = true);
	t = open_whole(s);
	await(fake_get(peers[0].fetches) == 8);
	read_start(t, &r, 19 * PIECE, 10, 0);
	assert_int_equal(read_finish(&r), 0);
	/* That piece only, and the parents are kept. */
	assert_int_equal(fake_get(fetched[19]), 1);
	assert_int_equal(fake_get(gets), 1);
	assert_int_equal(fake_get(to_origin) + fake_get(reschedules), 0);
	fake_set(fake.peers[0].held = false);
	fake_peer_gets(0, ALL);
	await(is_complete(t));
	assert_int_equal(fake_get(gets), 1);
	task_unref(t);
}

static void a_broken_origin_does_no_harm_while_there_are_parents(void **state)
{
	struct setting *s = *state;
	struct reading r;
	struct task *t;

	fake_set(fake.stat_error = EHOSTUNREACH);
	fake_set(fake.peers[0].has = 0xff; fake.peers[0].held = true);
	t = open_whole(s);
	await(fake_get(peers[0].fetches) == 8);
	read_start(t, &r, 19 * PIECE, 10, 0);
	await(fake_get(stats) == 1);
	fake_set(fake.peers[0].held = false);
	fake_peer_gets(0, ALL);
	assert_int_equal(read_finish(&r), 0);
	await(is_complete(t));
	assert_int_equal(fake_get(stats), 1);
	assert_int_equal(fake_get(failed), 0);
	task_unref(t);
}

static void a_scheduler_that_takes_the_task_for_empty_is_not_waited_for(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_will_say(((struct fake_reply){.what = SAY_READY}));
	t = open_whole(s);
	await(is_complete(t));
	assert_int_equal(fake_get(bytes), LENGTH);
	task_unref(t);
}

static void a_parent_that_lies_about_its_digests_is_found_out_in_the_end(void **state)
{
	struct setting *s = *state;
	cleanup(free_at) char *digest = digest_of(SEED, LENGTH);
	struct task *t;

	fake_set(fake.peers[0].lies = true);
	t = open_digest(s, digest);
	task_want_all(t, TASK_REST);
	await(is_complete(t));
	assert_right(t);
	assert_int_equal(fake_get(bytes), LENGTH);
	assert_int_equal(fake_get(peers[0].fetches), COUNT);
	assert_int_equal(fake_get(failed), 1);
	task_unref(t);
}

/* ---- the conversation's end */

static void when_nothing_is_wanted_parents_and_scheduler_are_let_go(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);

	assert_int_equal(read_piece(t, 9), 0);
	assert_int_equal(fake_get(drops), 0);
	await(fake_get(drops) == 1 && fake_get(peers[0].frees) == 1);
	assert_int_equal(fake_get(finished) + fake_get(failed), 0);
	assert_int_equal(read_piece(t, 18), 0);
	assert_int_equal(fake_get(registers), 2);
	task_unref(t);
}

static void a_seed_that_has_it_all_says_so_when_it_is_told_to_fetch(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct task *t = open_whole(s);

	await(fake_get(finished) == 1 && fake_get(drops) == 1);
	fake_will_say(((struct fake_reply){.what = SAY_READY}));
	rq.need_back_to_source = true;
	task_unref(open_task(s, &rq));
	await(fake_get(metadata_registers) == 1 && fake_get(finished) == 2);
	await(fake_get(drops) == 2);
	assert_int_equal(fake_get(gets), 0);
	/* Also after a restart, and each time: the scheduler counts on it. */
	task_unref(t);
	setting_stop(s);
	fixture_reopen(s->f);
	s->config.store = s->f->store;
	setting_start(s);
	task_unref(open_task(s, &rq));
	await(fake_get(metadata_registers) == 2 && fake_get(drops) == 3);
	assert_int_equal(fake_get(gets) + fake_get(stats), 0);
}

static void at_the_end_conversations_and_parents_are_dropped(void **state)
{
	struct setting *s = *state;
	struct task *t;
	struct reading r;

	fake_set(fake.peers[0].held = true);
	t = open_whole(s);
	await(fake_get(peers[0].fetches) == 8);
	read_start(t, &r, 12 * PIECE, 10, 0);
	task_unref(t);
	setting_stop(s);
	assert_int_equal(read_finish(&r), ECANCELED);
	assert_int_equal(fake_get(drops), 1);
	await(fake_get(peers[0].frees) == 1);
}

static void a_deleted_task_is_told_to_the_scheduler(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	char id[65];

	snprintf(id, sizeof(id), "%s", task_meta(t)->id);
	task_unref(t);
	assert_ok(task_delete(s->ts, id, &s->e));
	assert_int_equal(fake_get(deleted), 1);
}

#define with_setting(test)	 cmocka_unit_test_setup_teardown(test, setup, teardown)
#define with_quiet_setting(test) cmocka_unit_test_setup_teardown(test, setup_quiet, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_setting(pieces_come_from_a_parent_and_are_reported),
		with_setting(work_is_shared_among_parents),
		with_setting(a_reader_overtakes_the_prefetch_at_a_parent),
		with_setting(without_a_scheduler_that_answers_the_origin_is_asked),
		with_setting(a_scheduler_that_falls_silent_costs_its_deadline),
		with_setting(who_is_told_so_goes_to_the_origin_and_reports),
		with_setting(who_reads_the_origin_tells_the_next_scheduler_of_it),
		with_setting(a_refusal_by_the_scheduler_is_final),
		with_setting(a_seed_goes_to_the_origin_before_the_scheduler_answers),
		with_setting(the_first_run_has_the_origins_link_to_itself),
		with_setting(a_peer_that_becomes_a_seed_leaves_its_parents_out),
		with_setting(parents_are_kept_when_the_scheduler_dies),
		with_setting(who_lost_its_scheduler_gets_more_parents_from_the_next),
		with_setting(
			a_scheduler_that_has_just_begun_sends_no_one_to_the_origin_who_has_parents),
		with_setting(a_scheduler_that_came_back_is_asked_once_more),
		with_setting(without_scheduler_and_parents_the_origin_gives_the_rest),
		with_setting(wrong_bytes_are_refused_and_fetched_elsewhere),
		with_setting(who_sent_wrong_bytes_is_never_asked_again),
		with_setting(bytes_without_digest_are_refused),
		with_setting(a_parent_that_speaks_of_other_content_is_dropped),
		with_setting(a_parent_that_cannot_be_reached_is_replaced),
		with_setting(a_parent_whose_stream_breaks_at_once_is_replaced),
		with_setting(what_a_parent_announced_is_fetched_though_its_stream_ended),
		with_setting(a_parent_that_lacks_pieces_after_all_is_dropped),
		with_setting(after_five_vain_answers_the_origin_is_asked),
		with_setting(without_leave_for_the_origin_the_read_fails),
		with_setting(pieces_are_fetched_as_a_parent_gets_them),
		with_setting(parents_that_say_nothing_are_replaced_after_a_while),
		with_setting(a_reader_is_served_though_all_parents_say_nothing),
		with_setting(a_parent_is_not_given_up_while_its_bytes_come),
		with_setting(a_reader_does_not_wait_for_a_parent_that_is_far_behind),
		with_setting(a_broken_origin_does_no_harm_while_there_are_parents),
		with_setting(a_scheduler_that_takes_the_task_for_empty_is_not_waited_for),
		with_quiet_setting(a_parent_that_lies_about_its_digests_is_found_out_in_the_end),
		with_setting(when_nothing_is_wanted_parents_and_scheduler_are_let_go),
		with_setting(a_seed_that_has_it_all_says_so_when_it_is_told_to_fetch),
		with_setting(at_the_end_conversations_and_parents_are_dropped),
		with_setting(a_deleted_task_is_told_to_the_scheduler),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
