/* daemon/task: reads over a real store and a fake origin, no scheduler */
#include "test/unit/daemon/task_fixture.h"

#define COUNT  21
#define LENGTH (20 * PIECE + 5)

static int setup(void **state)
{
	return setup_with(state, LENGTH, false);
}

static void a_cold_read_is_answered_from_the_origin(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);

	assert_int_equal(task_meta(t)->geometry.content_length, LENGTH);
	assert_int_equal(read_at(t, 3 * PIECE + 100, 1000), 0);
	assert_int_equal(fake_get(fetched[3]), 1);
	assert_int_equal(fake_get(stats), 1);
	task_unref(t);
}

static void the_whole_is_fetched_once_and_verified(void **state)
{
	struct setting *s = *state;
	cleanup(free_at) char *digest = digest_of(SEED, LENGTH);
	struct task_request rq = request_of(URL);
	struct task_progress p;
	struct task *t;

	name_by_digest(&rq, digest);
	t = open_task(s, &rq);
	assert_int_equal(task_complete_fd(t), -1);
	task_want_all(t, TASK_REST);
	await(is_complete(t));
	for (unsigned i = 0; i < COUNT; i++) {
		assert_int_equal(fake_get(fetched[i]), 1);
		assert_int_equal(read_piece(t, i), 0);
	}
	assert_int_equal(fake_get(bytes), LENGTH);
	assert_true(task_complete_fd(t) >= 0);
	task_progress(t, &p);
	assert_int_equal(p.ready_count, COUNT);
	assert_int_equal(p.bytes_ready, LENGTH);
	assert_int_equal(p.from_origin, LENGTH);
	assert_int_equal(p.from_peers, 0);
	assert_false(p.failed);
	assert_int_equal(stat_now(s).pieces_fetched, COUNT);
	task_unref(t);
}

static void each_piece_is_fetched_once_for_many_readers(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	static struct reading r[64 * 8];
	uint32_t x = 1;

	for (unsigned i = 0; i < array_len(r); i++) {
		uint64_t off;
		uint32_t len;

		x = x * 1664525 + 1013904223;
		off = x % LENGTH;
		len = (uint32_t)(PIECE - off % PIECE);
		if (len > LENGTH - off)
			len = (uint32_t)(LENGTH - off);
		read_start(t, &r[i], off, 1 + x % len, 0);
	}
	for (unsigned i = 0; i < array_len(r); i++)
		assert_int_equal(read_finish(&r[i]), 0);
	for (unsigned i = 0; i < COUNT; i++)
		assert_true(fake_get(fetched[i]) <= 1);
	task_unref(t);
}

static void a_sequential_reader_finds_the_next_pieces_here(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);

	assert_int_equal(read_piece(t, 0), 0);
	await(task_piece_ready(t, 1) && task_piece_ready(t, 2));
	assert_false(task_piece_ready(t, 5));
	assert_int_equal(read_piece(t, 1), 0);
	await(task_piece_ready(t, 4) && task_piece_ready(t, 5));
	task_unref(t);
}

static void a_reader_overtakes_the_prefetch(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct reading r;

	fake_set(fake.held = true);
	task_want_all(t, TASK_REST);
	await(fake_get(running) == 1);
	read_start(t, &r, 20 * PIECE, 5, 0);
	await(fake_get(running) == 2);
	fake_set(fake.held = false);
	assert_int_equal(read_finish(&r), 0);
	await(is_complete(t));
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(fake_get(fetched[i]), 1);
	task_unref(t);
}

/* ---- failures */

static void the_cause_of_a_failure_reaches_the_reader(void **state)
{
	static const struct {
		int origin, reader;
	} codes[] = {{EACCES, EACCES},	  {ENOENT, ENOENT}, {ETIMEDOUT, ETIMEDOUT},
		     {EHOSTUNREACH, EIO}, {EPROTO, EIO},    {EBUSY, EIO}};
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	char text[128];

	for (unsigned i = 0; i < array_len(codes); i++) {
		/* Until the pause after the last failure is over. */
		fake_set(fake.get_error = codes[i].origin);
		await(read_piece(t, 0) == codes[i].reader);
		task_last_error(t, text, sizeof(text));
		assert_true(strlen(text) > 0);
	}
	fake_set(fake.get_error = 0);
	await(read_piece(t, 0) == 0);
	task_unref(t);
}

static void without_scheduler_and_origin_there_is_nobody(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct task_request rq = request_of(URL);

	task_unref(t);
	setting_stop(s);
	setting_start(s);
	rq.disable_back_to_source = true;
	t = open_task(s, &rq);
	assert_int_equal(read_piece(t, 0), EHOSTUNREACH);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void a_broken_origin_is_not_hammered(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	unsigned reads = 0;

	fake_set(fake.get_error = EHOSTUNREACH);
	for (int64_t end = clock_ms() + 300; clock_ms() < end; reads++)
		assert_int_equal(read_piece(t, 0), EIO);
	/* Four attempts at most, each with a piece or two that are read ahead. */
	assert_true(fake_get(gets) <= 4 * 3);
	assert_true(reads > 4 * 3);
	task_unref(t);
}

static void what_arrived_before_a_failure_stays(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);

	assert_int_equal(read_piece(t, 10), 0);
	fake_set(fake.get_error = EIO);
	task_want_all(t, TASK_REST);
	await(({
		struct task_progress p;
		task_progress(t, &p);
		p.failed;
	}));
	assert_int_equal(read_piece(t, 10), 0);
	fake_set(fake.get_error = 0);
	await(({
		task_want_all(t, TASK_REST);
		is_complete(t);
	}));
	assert_int_equal(fake_get(fetched[10]), 1);
	task_unref(t);
}

static void a_read_that_waits_too_long_is_told_so(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct reading r, later;

	fake_set(fake.held = true);
	read_start(t, &r, 0, 10, 20);
	read_start(t, &later, 0, 10, 0);
	assert_int_equal(read_finish(&r), ETIMEDOUT);
	assert_false(task_read_cancel(&r.w));
	assert_false(is_answered(&later));
	fake_set(fake.held = false);
	assert_int_equal(read_finish(&later), 0);
	task_unref(t);
}

static void a_cancelled_read_leaves_the_others_alone(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct reading a, b;

	fake_set(fake.held = true);
	read_start(t, &a, 0, 10, 0);
	read_start(t, &b, 0, 10, 0);
	await(fake_get(running) >= 1);
	assert_true(task_read_cancel(&a.w));
	fake_set(fake.held = false);
	assert_int_equal(read_finish(&b), 0);
	assert_false(is_answered(&a));
	task_unref(t);
}

/* ---- odd origins */

static void an_origin_without_ranges_is_read_in_one_stream(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.no_ranges = true);
	t = open_url(s, URL);
	assert_int_equal(read_piece(t, 15), 0);
	assert_int_equal(read_piece(t, 2), 0);
	task_want_all(t, TASK_REST);
	await(is_complete(t));
	assert_int_equal(fake_get(gets), 1);
	assert_int_equal(fake_get(bytes), LENGTH);
	task_unref(t);
}

static void a_stream_that_breaks_is_begun_again_and_keeps_what_came(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.no_ranges = true; fake.get_error = EPROTO; fake.get_errors_left = 1);
	t = open_url(s, URL);
	assert_int_equal(read_piece(t, 3), EIO);
	await(read_piece(t, 3) == 0);
	task_unref(t);
}

static void an_origin_that_sends_less_than_it_said_is_not_believed(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.no_ranges = true);
	t = open_url(s, URL);
	fake_set(fake.length = 5 * PIECE);
	assert_int_equal(read_piece(t, 15), EIO);
	assert_int_equal(read_piece(t, 2), 0);
	task_unref(t);
}

static void content_of_unknown_length_is_read_to_its_end(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.no_length = true);
	t = open_url(s, URL);
	assert_int_equal(task_meta(t)->geometry.content_length, LENGTH);
	assert_true(is_complete(t));
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(read_piece(t, i), 0);
	assert_int_equal(fake_get(gets), 1);
	task_unref(t);
}

static void content_of_unknown_length_is_bounded(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);

	setting_stop(s);
	s->config.unknown_length_max = LENGTH - 1;
	setting_start(s);
	fake_set(fake.no_length = true);
	assert_int_equal(open_error(s, &rq), EFBIG);
}

static void content_of_unknown_length_with_a_wrong_digest_is_refused(void **state)
{
	struct setting *s = *state;
	cleanup(free_at) char *digest = digest_of(SEED + 1, LENGTH);
	struct task_request rq = request_of(URL);

	name_by_digest(&rq, digest);
	fake_set(fake.no_length = true);
	assert_int_equal(open_error(s, &rq), EBADMSG);
	rq.local_only = true;
	assert_int_equal(open_error(s, &rq), ENOENT);
}

static void empty_content_is_complete_at_once(void **state)
{
	struct setting *s = *state;
	struct task *t;

	fake_set(fake.length = 0);
	t = open_url(s, URL);
	assert_true(is_complete(t));
	assert_int_equal(read_at(t, 0, 1), EINVAL);
	assert_int_equal(fake_get(gets), 0);
	task_unref(t);
}

static void empty_content_that_should_not_be_is_refused(void **state)
{
	struct setting *s = *state;
	cleanup(free_at) char *digest = digest_of(SEED, LENGTH);
	struct task_request rq = request_of(URL);

	name_by_digest(&rq, digest);
	fake_set(fake.length = 0);
	assert_int_equal(open_error(s, &rq), EBADMSG);
	rq.local_only = true;
	assert_int_equal(open_error(s, &rq), ENOENT);
}

/* ---- wrong bytes */

struct watching {
	struct task_watch w;
	unsigned pieces, completions, failures; /* atomic */
	int code;
	uint64_t seen;
};

static void on_changed(struct task_watch *w, uint32_t index, const struct err *e)
{
	struct watching *v = container_of(w, struct watching, w);

	if (index != UINT32_MAX) {
		v->seen |= UINT64_C(1) << index;
		__atomic_add_fetch(&v->pieces, 1, __ATOMIC_RELEASE);
	} else if (e) {
		v->code = e->code;
		__atomic_add_fetch(&v->failures, 1, __ATOMIC_RELEASE);
	} else {
		__atomic_add_fetch(&v->completions, 1, __ATOMIC_RELEASE);
	}
}

#define atomic_get(v) __atomic_load_n(&(v), __ATOMIC_ACQUIRE)

static struct task *open_with_digest(struct setting *s, char *digest)
{
	struct task_request rq = request_of(URL);

	name_by_digest(&rq, digest);
	return open_task(s, &rq);
}

static void a_whole_with_wrong_bytes_is_fetched_anew_once(void **state)
{
	struct setting *s = *state;
	cleanup(free_at) char *digest = digest_of(SEED, LENGTH);
	struct watching v = {.w = {.changed = on_changed}};
	struct task *t = open_with_digest(s, digest);

	log_set_level((enum log_level) - 1);
	fake_set(fake.wrong_until = LENGTH);
	task_watch(t, &v.w);
	task_want_all(t, TASK_REST);
	await(atomic_get(v.completions) == 1);
	assert_int_equal(atomic_get(v.failures), 1);
	assert_int_equal(v.code, EBADMSG);
	assert_true(is_complete(t));
	assert_int_equal(fake_get(bytes), 2 * LENGTH);
	assert_int_equal(read_piece(t, 7), 0);
	task_unwatch(t, &v.w);
	task_unref(t);
}

static void a_second_mismatch_is_the_end_for_a_while(void **state)
{
	struct setting *s = *state;
	cleanup(free_at) char *digest = digest_of(SEED, LENGTH);
	struct watching v = {.w = {.changed = on_changed}};
	struct task *t = open_with_digest(s, digest);
	unsigned gets;

	log_set_level((enum log_level) - 1);
	fake_set(fake.wrong_until = UINT64_MAX);
	task_watch(t, &v.w);
	task_want_all(t, TASK_REST);
	await(atomic_get(v.failures) == 2);
	gets = fake_get(gets);
	assert_int_equal(fake_get(bytes), 2 * LENGTH);
	assert_int_equal(read_piece(t, 0), EBADMSG);
	assert_int_equal(fake_get(gets), gets);
	assert_int_equal(atomic_get(v.completions), 0);
	assert_int_equal(stat_now(s).digest_failures, 2);
	task_unwatch(t, &v.w);
	task_unref(t);
}

/* ---- watching */

static void watchers_hear_of_every_piece_and_the_end(void **state)
{
	struct setting *s = *state;
	struct watching v[2] = {{.w = {.changed = on_changed}}, {.w = {.changed = on_changed}}};
	struct task *t = open_url(s, URL);

	task_watch(t, &v[0].w);
	task_watch(t, &v[1].w);
	task_want_all(t, TASK_REST);
	await(atomic_get(v[0].completions) == 1 && atomic_get(v[1].completions) == 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(v[i].pieces, COUNT);
		assert_int_equal(v[i].seen, (UINT64_C(1) << COUNT) - 1);
		task_unwatch(t, &v[i].w);
	}
	task_unref(t);
}

static void who_unwatched_hears_nothing_more(void **state)
{
	struct setting *s = *state;
	struct watching v = {.w = {.changed = on_changed}};
	struct task *t = open_url(s, URL);
	unsigned heard;

	task_watch(t, &v.w);
	task_want_all(t, TASK_REST);
	await(atomic_get(v.pieces) > 0);
	task_unwatch(t, &v.w);
	heard = v.pieces;
	await(is_complete(t));
	assert_int_equal(v.pieces, heard);
	task_unref(t);
}

static void watchers_hear_of_a_failure(void **state)
{
	struct setting *s = *state;
	struct watching v = {.w = {.changed = on_changed}};
	struct task *t = open_url(s, URL);

	fake_set(fake.get_error = EACCES);
	task_watch(t, &v.w);
	task_want_all(t, TASK_URGENT);
	await(atomic_get(v.failures) == 1);
	assert_int_equal(v.code, EACCES);
	task_unwatch(t, &v.w);
	task_unref(t);
}

static void a_piece_is_described_once_it_is_here(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct store_piece info;

	assert_false(task_piece_info(t, 20, &info));
	assert_int_equal(read_piece(t, 20), 0);
	await(task_piece_info(t, 20, &info));
	assert_int_equal(info.length, 5);
	assert_int_equal(info.source, STORE_FROM_ORIGIN);
	assert_false(task_piece_ready(t, COUNT));
	assert_false(task_piece_info(t, UINT32_MAX, &info));
	task_unref(t);
}

/* ---- after a restart */

static void restart(struct setting *s, bool clean)
{
	setting_stop(s);
	if (clean)
		fixture_reopen(s->f);
	else
		fixture_crash(s->f);
	s->config.store = s->f->store;
	setting_start(s);
}

static void what_is_here_is_read_without_the_network(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);

	task_want_all(t, TASK_REST);
	await(is_complete(t));
	task_unref(t);
	restart(s, true);
	fake_set(fake.stat_error = fake.get_error = EHOSTUNREACH);
	t = open_url(s, URL);
	assert_true(is_complete(t));
	assert_int_equal(read_piece(t, 19), 0);
	task_unref(t);
}

static void after_a_crash_pieces_are_proved_and_not_fetched_again(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	unsigned gets;

	task_want_all(t, TASK_REST);
	await(is_complete(t));
	task_unref(t);
	restart(s, false);
	gets = fake_get(gets);
	t = open_url(s, URL);
	assert_int_equal(read_piece(t, 11), 0);
	await(is_complete(t));
	assert_int_equal(fake_get(gets), gets);
	assert_int_equal(fake_get(stats), 1);
	task_unref(t);
}

static void after_a_crash_a_piece_that_rotted_is_fetched_again(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	char id[65];

	task_want_all(t, TASK_REST);
	await(is_complete(t));
	snprintf(id, sizeof(id), "%s", task_meta(t)->id);
	task_unref(t);
	setting_stop(s);
	fixture_stop_unclean(s->f);
	cleanup(free_at) char *path = mem_printf("%s/content/tasks/%.3s/%s", s->f->dir, id, id);
	file_write(path, "x", 1, 4 * PIECE + 17);
	fixture_open(s->f);
	s->config.store = s->f->store;
	setting_start(s);
	t = open_url(s, URL);
	assert_int_equal(read_at(t, 4 * PIECE, 100), 0);
	await(is_complete(t));
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(fake_get(fetched[i]), i == 4 ? 2 : 1);
	task_unref(t);
}

static void an_origin_whose_content_grew_is_not_mixed_in(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL), *other;

	log_set_level((enum log_level) - 1);
	assert_int_equal(read_piece(t, 0), 0);
	task_unref(t);
	restart(s, true);
	fake_set(fake.length = LENGTH + 1);
	t = open_url(s, URL);
	assert_int_equal(read_piece(t, 0), 0);
	assert_int_equal(read_piece(t, 9), EIO);
	/* Who opens it now gets what is there now. */
	other = open_url(s, URL);
	assert_ptr_not_equal(other, t);
	assert_int_equal(task_meta(other)->geometry.content_length, LENGTH + 1);
	assert_int_equal(read_piece(other, 9), 0);
	task_unref(other);
	task_unref(t);
}

/* ---- the table */

static void idle_tasks_are_let_go(void **state)
{
	struct setting *s = *state;
	struct task *t;

	setting_stop(s);
	s->config.idle_ms = 1;
	setting_start(s);
	t = open_url(s, URL);
	assert_int_equal(read_piece(t, 5), 0);
	assert_int_equal(stat_now(s).tasks, 1);
	task_unref(t);
	await(stat_now(s).tasks == 0);
	t = open_url(s, URL);
	assert_int_equal(read_piece(t, 5), 0);
	assert_int_equal(fake_get(stats), 1);
	task_unref(t);
}

static void few_idle_tasks_are_kept(void **state)
{
	struct setting *s = *state;

	setting_stop(s);
	s->config.idle_max = 3;
	s->config.idle_ms = 1000;
	setting_start(s);
	for (unsigned i = 0; i < 10; i++) {
		cleanup(free_at) char *url = mem_printf("http://origin/%u", i);

		task_unref(open_url(s, url));
	}
	await(stat_now(s).tasks == 3);
}

static void a_task_that_is_fetched_is_not_idle(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);

	setting_stop(s);
	s->config.idle_ms = 1;
	setting_start(s);
	fake_set(fake.held = true);
	rq.prefetch = true;
	task_unref(open_task(s, &rq));
	await(fake_get(running) > 0);
	int64_t end = clock_ms() + 200;
	await(clock_ms() > end);
	assert_int_equal(stat_now(s).tasks, 1);
	assert_int_equal(stat_now(s).active, 1);
	fake_set(fake.held = false);
	await(stat_now(s).tasks == 0);
	assert_int_equal(fake_get(bytes), LENGTH);
}

static void a_deleted_task_is_gone_but_for_its_readers(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL), *other;
	char id[65];

	snprintf(id, sizeof(id), "%s", task_meta(t)->id);
	assert_int_equal(read_piece(t, 1), 0);
	assert_ok(task_delete(s->ts, id, &s->e));
	assert_int_equal(task_delete(s->ts, id, &s->e), -ENOENT);
	assert_int_equal(read_piece(t, 1), 0);
	assert_int_equal(read_piece(t, 8), 0);
	other = open_url(s, URL);
	assert_ptr_not_equal(other, t);
	assert_false(task_piece_ready(other, 1));
	task_unref(other);
	task_unref(t);
}

static void a_task_that_nobody_holds_can_be_deleted(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	char id[65];

	snprintf(id, sizeof(id), "%s", task_meta(t)->id);
	task_unref(t);
	assert_ok(task_delete(s->ts, id, &s->e));
	await(stat_of(s->f).tasks == 0);
	/* And one that is only on disk. */
	task_unref(open_url(s, URL));
	restart(s, true);
	assert_ok(task_delete(s->ts, id, &s->e));
	assert_int_equal(stat_of(s->f).tasks, 0);
}

static unsigned listed;

static void count_one(const struct store_meta *m, uint32_t present, void *arg)
{
	(void)m;
	(void)present;
	assert_ptr_equal(arg, &listed);
	listed++;
}

static void local_tasks_are_listed(void **state)
{
	struct setting *s = *state;

	listed = 0;
	task_unref(open_url(s, URL));
	task_unref(open_url(s, "http://origin/other"));
	tasks_each(s->ts, count_one, &listed);
	assert_int_equal(listed, 2);
}

/* ---- a full disk */

static void with_a_full_disk_readers_get_their_bytes(void **state)
{
	struct setting *s = *state;
	struct watching v = {.w = {.changed = on_changed}};
	struct task *t;

	setting_stop(s);
	store_close(s->f->store);
	s->f->config.quota = 1;
	fixture_open(s->f);
	s->config.store = s->f->store;
	setting_start(s);
	log_set_level((enum log_level) - 1);
	t = open_url(s, URL);
	task_watch(t, &v.w);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(read_piece(t, i), 0);
	for (unsigned i = COUNT; i-- > 0;)
		assert_int_equal(read_piece(t, i), 0);
	assert_int_equal(atomic_get(v.failures), 1);
	assert_int_equal(v.code, ENOSPC);
	assert_int_equal(v.pieces, 0);
	task_want_all(t, TASK_REST);
	assert_int_equal(read_piece(t, 3), 0);
	assert_false(is_complete(t));
	task_unwatch(t, &v.w);
	task_unref(t);
}

/* ---- the end */

static void at_the_end_readers_are_told_and_transfers_stop(void **state)
{
	struct setting *s = *state;
	struct task *t = open_url(s, URL);
	struct reading r[20];

	fake_set(fake.held = true);
	for (unsigned i = 0; i < 20; i++)
		read_start(t, &r[i], i * PIECE, 10, 0);
	task_want_all(t, TASK_REST);
	await(fake_get(running) == 11);
	task_unref(t);
	setting_stop(s);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(read_finish(&r[i]), ECANCELED);
	assert_int_equal(fake_get(running), 0);
}

static void the_end_may_come_in_the_middle_of_a_transfer(void **state)
{
	struct setting *s = *state;

	for (unsigned i = 0; i < 20; i++) {
		cleanup(free_at) char *url = mem_printf("http://origin/%u", i);
		struct task_request rq = request_of(url);

		rq.prefetch = true;
		task_unref(open_task(s, &rq));
		await(fake_get(bytes) > i * 20000);
		restart(s, true);
	}
}

#define with_setting(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_setting(a_cold_read_is_answered_from_the_origin),
		with_setting(the_whole_is_fetched_once_and_verified),
		with_setting(each_piece_is_fetched_once_for_many_readers),
		with_setting(a_sequential_reader_finds_the_next_pieces_here),
		with_setting(a_reader_overtakes_the_prefetch),
		with_setting(the_cause_of_a_failure_reaches_the_reader),
		with_setting(without_scheduler_and_origin_there_is_nobody),
		with_setting(a_broken_origin_is_not_hammered),
		with_setting(what_arrived_before_a_failure_stays),
		with_setting(a_read_that_waits_too_long_is_told_so),
		with_setting(a_cancelled_read_leaves_the_others_alone),
		with_setting(an_origin_without_ranges_is_read_in_one_stream),
		with_setting(a_stream_that_breaks_is_begun_again_and_keeps_what_came),
		with_setting(an_origin_that_sends_less_than_it_said_is_not_believed),
		with_setting(content_of_unknown_length_is_read_to_its_end),
		with_setting(content_of_unknown_length_is_bounded),
		with_setting(content_of_unknown_length_with_a_wrong_digest_is_refused),
		with_setting(empty_content_is_complete_at_once),
		with_setting(empty_content_that_should_not_be_is_refused),
		with_setting(a_whole_with_wrong_bytes_is_fetched_anew_once),
		with_setting(a_second_mismatch_is_the_end_for_a_while),
		with_setting(watchers_hear_of_every_piece_and_the_end),
		with_setting(who_unwatched_hears_nothing_more),
		with_setting(watchers_hear_of_a_failure),
		with_setting(a_piece_is_described_once_it_is_here),
		with_setting(what_is_here_is_read_without_the_network),
		with_setting(after_a_crash_pieces_are_proved_and_not_fetched_again),
		with_setting(after_a_crash_a_piece_that_rotted_is_fetched_again),
		with_setting(an_origin_whose_content_grew_is_not_mixed_in),
		with_setting(idle_tasks_are_let_go),
		with_setting(few_idle_tasks_are_kept),
		with_setting(a_task_that_is_fetched_is_not_idle),
		with_setting(a_deleted_task_is_gone_but_for_its_readers),
		with_setting(a_task_that_nobody_holds_can_be_deleted),
		with_setting(local_tasks_are_listed),
		with_setting(with_a_full_disk_readers_get_their_bytes),
		with_setting(at_the_end_readers_are_told_and_transfers_stop),
		with_setting(the_end_may_come_in_the_middle_of_a_transfer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
