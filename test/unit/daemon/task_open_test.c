/* daemon/task_open: who asks, who is asked, and who is answered */
#include "test/unit/daemon/task_fixture.h"

#define COUNT  4
#define LENGTH (3 * PIECE + 9)
#define HEX    "b2c366cce7e68013d5441c6326d5a3e1b12aeb5ed58564d0fd3fa089bc29cb6e"

static int setup(void **state)
{
	int r = setup_with(state, LENGTH, false);

	log_set_level((enum log_level) - 1);
	return r;
}

static int setup_cluster(void **state)
{
	int r = setup_known(state, LENGTH);

	log_set_level((enum log_level) - 1);
	return r;
}

struct asking {
	struct task_open o;
	struct task *t;
	int code;
	int answers; /* atomic */
};

static void asking_done(struct task_open *o, struct task *t, const struct err *e)
{
	struct asking *a = container_of(o, struct asking, o);

	assert_true(!t != !e);
	a->t = t;
	a->code = e ? e->code : 0;
	__atomic_add_fetch(&a->answers, 1, __ATOMIC_RELEASE);
}

static void ask(struct setting *s, struct asking *a, const struct task_request *rq)
{
	*a = (struct asking){.o = {.done = asking_done}};
	task_open(s->ts, rq, &a->o);
}

static int answer_of(struct asking *a)
{
	await(__atomic_load_n(&a->answers, __ATOMIC_ACQUIRE) > 0);
	assert_int_equal(a->answers, 1);
	return a->code;
}

static struct config_pairs authorization(char *value)
{
	static __typeof__(*((struct config_pairs *)0)->items) items[4];
	static unsigned used;
	unsigned i = used++ % 4;

	items[i].name = (char *)"Authorization";
	items[i].value = value;
	return (struct config_pairs){.items = (void *)&items[i], .count = 1};
}

static void many_who_ask_alike_share_one_question(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct asking a[32];

	fake_set(fake.stat_held = true);
	for (unsigned i = 0; i < 32; i++)
		ask(s, &a[i], &rq);
	await(fake_get(stats) == 1);
	assert_int_equal(stat_now(s).opens, 32);
	fake_set(fake.stat_held = false);
	for (unsigned i = 0; i < 32; i++) {
		assert_int_equal(answer_of(&a[i]), 0);
		assert_ptr_equal(a[i].t, a[0].t);
		task_unref(a[i].t);
	}
	assert_int_equal(fake_get(stats), 1);
	assert_int_equal(stat_now(s).opens, 0);
}

static void who_asks_otherwise_is_answered_by_the_first_who_finds_it(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct config_pairs headers = authorization((char *)"Bearer a");
	struct asking a, b;

	fake_set(fake.stat_held = true);
	ask(s, &a, &rq);
	await(fake_get(stats) == 1);
	rq.headers = &headers;
	ask(s, &b, &rq);
	fake_set(fake.stat_held = false);
	assert_int_equal(answer_of(&a), 0);
	assert_int_equal(answer_of(&b), 0);
	assert_ptr_equal(a.t, b.t);
	assert_int_equal(fake_get(stats), 1);
	task_unref(a.t);
	task_unref(b.t);
}

static void a_failure_is_remembered_for_a_moment(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	int64_t since = clock_ms();

	fake_set(fake.stat_error = ENOENT);
	assert_int_equal(open_error(s, &rq), ENOENT);
	fake_set(fake.stat_error = 0);
	assert_int_equal(open_error(s, &rq), ENOENT);
	await(open_error(s, &rq) == 0);
	assert_true(clock_ms() - since >= 900);
	assert_int_equal(fake_get(stats), 2);
}

static void a_failure_without_credentials_does_not_count_for_those_who_have_them(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct config_pairs headers = authorization((char *)"Bearer b");
	struct task *t;

	fake_set(fake.stat_error = EACCES);
	assert_int_equal(open_error(s, &rq), EACCES);
	fake_set(fake.stat_error = 0);
	rq.headers = &headers;
	t = open_task(s, &rq);
	assert_true(fake_says(fake.last_authorization, "Bearer b"));
	assert_int_equal(read_piece(t, 1), 0);
	assert_true(fake_says(fake.last_authorization, "Bearer b"));
	task_unref(t);
}

static void the_latest_credentials_are_used(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct config_pairs one = authorization((char *)"Bearer 1"),
			    two = authorization((char *)"Bearer 2");
	struct task *t;

	rq.headers = &one;
	t = open_task(s, &rq);
	rq.headers = &two;
	task_unref(open_task(s, &rq));
	assert_int_equal(read_piece(t, 0), 0);
	assert_true(fake_says(fake.last_authorization, "Bearer 2"));
	/* And the same URL need not be asked again what it is. */
	assert_int_equal(fake_get(stats), 1);
	task_unref(t);
}

static void errors_are_those_that_openers_expect(void **state)
{
	static const struct {
		int origin, opener;
	} codes[] = {{ENOENT, ENOENT}, {EACCES, EACCES},       {EHOSTUNREACH, EHOSTUNREACH},
		     {EPROTO, EPROTO}, {ETIMEDOUT, ETIMEDOUT}, {EBUSY, EHOSTUNREACH},
		     {ELOOP, EPROTO}};
	struct setting *s = *state;

	for (unsigned i = 0; i < array_len(codes); i++) {
		cleanup(free_at) char *url = mem_printf("http://origin/%u", i);
		struct task_request rq = request_of(url);

		fake_set(fake.stat_error = codes[i].origin);
		assert_int_equal(open_error(s, &rq), codes[i].opener);
	}
}

static void nonsense_is_refused_at_once(void **state)
{
	struct setting *s = *state;
	struct task_request rqs[] = {
		{.url = "file:///etc/passwd"},
		{.url = "not a url"},
		{.id = "abc"},
		{.digest = "md5:abc"},
		{.url = URL, .digest = "sha256:abc"},
		{.url = URL, .piece_length = 17},
		{.url = URL, .piece_length = 1u << 30},
		{.url = "http://r/v2/a/blobs/sha256:" HEX,
		 .blob_digest_id = true,
		 .digest = "sha256:"
			   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
		{0},
	};

	for (unsigned i = 0; i < array_len(rqs); i++)
		assert_int_equal(open_error(s, &rqs[i]), EINVAL);
	assert_int_equal(fake_get(stats), 0);
}

static void too_many_pieces_are_refused(void **state)
{
	struct setting *s = *state;
	struct task_request rq = {.url = URL, .piece_length = 4096};

	fake_set(fake.length = UINT64_C(1) << 40);
	assert_int_equal(open_error(s, &rq), EFBIG);
}

static void an_open_waits_no_longer_than_it_said(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);

	fake_set(fake.stat_held = true);
	rq.timeout_ms = 20;
	assert_int_equal(open_error(s, &rq), ETIMEDOUT);
	fake_set(fake.stat_held = false);
	rq.timeout_ms = 0;
	task_unref(open_task(s, &rq));
	assert_int_equal(fake_get(stats), 1);
}

static void a_cancelled_open_is_not_answered(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct asking a, b;

	fake_set(fake.stat_held = true);
	ask(s, &a, &rq);
	ask(s, &b, &rq);
	assert_true(task_open_cancel(&a.o));
	assert_false(task_open_cancel(&a.o));
	fake_set(fake.stat_held = false);
	assert_int_equal(answer_of(&b), 0);
	assert_int_equal(a.answers, 0);
	assert_false(task_open_cancel(&b.o));
	task_unref(b.t);
}

static void at_the_end_opens_are_told(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct asking a;

	fake_set(fake.stat_held = true);
	ask(s, &a, &rq);
	await(fake_get(stats) == 1);
	setting_stop(s);
	assert_int_equal(answer_of(&a), ECANCELED);
}

/* ---- only what is here */

static void what_must_be_local_asks_nobody(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct task *t;

	rq.local_only = true;
	assert_int_equal(open_error(s, &rq), ENOENT);
	assert_int_equal(fake_get(stats), 0);
	rq.local_only = false;
	task_unref(open_task(s, &rq));
	rq.local_only = true;
	t = open_task(s, &rq);
	assert_int_equal(task_meta(t)->geometry.content_length, LENGTH);
	task_unref(t);
}

static void who_asks_locally_does_not_wait_for_the_network(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);
	struct asking a;

	fake_set(fake.stat_held = true);
	ask(s, &a, &rq);
	await(fake_get(stats) == 1);
	rq.local_only = true;
	assert_int_equal(open_error(s, &rq), ENOENT);
	assert_int_equal(a.answers, 0);
	fake_set(fake.stat_held = false);
	assert_int_equal(answer_of(&a), 0);
	task_unref(a.t);
}

/* ---- digests */

static void a_bare_digest_is_looked_for_where_it_was_seen(void **state)
{
	struct setting *s = *state;
	cleanup(free_at) char *digest = digest_of(SEED, LENGTH);
	cleanup(free_at) char *want =
		mem_printf("https://r:5000/v2/library/debian/blobs/%s", digest);
	struct task_request rq = {.digest = digest};
	struct task *t;

	assert_int_equal(open_error(s, &rq), ENOENT);
	assert_int_equal(fake_get(stats), 0);
	task_note_source(s->ts, digest + 7, "https://broken", "a", NULL);
	task_note_source(s->ts, digest + 7, "https://r:5000", "library/debian", "Bearer n");
	task_note_source(s->ts, digest + 7, "https://denied", "a", NULL);
	await(open_error(s, &rq) == 0);
	assert_true(fake_says(fake.last_url, want));
	assert_true(fake_says(fake.last_authorization, "Bearer n"));
	t = open_task(s, &rq);
	assert_string_equal(task_meta(t)->id, digest + 7);
	assert_string_equal(task_meta(t)->digest, digest);
	/* The places are tried in turn when it is read, too. */
	assert_int_equal(read_piece(t, 0), 0);
	assert_true(fake_says(fake.last_url, want));
	task_unref(t);
}

static void a_refusal_says_more_than_not_here(void **state)
{
	struct setting *s = *state;
	struct task_request rq = {.digest = "sha256:" HEX};

	task_note_source(s->ts, HEX, "https://denied", "a", NULL);
	task_note_source(s->ts, HEX, "https://missing", "a", NULL);
	assert_int_equal(open_error(s, &rq), EACCES);
}

static void configured_places_are_asked_for_any_digest(void **state)
{
	static const struct tasks_source sources[] = {{"https://mirror", "all", "Basic c"}};
	struct setting *s = *state;
	struct task_request rq = {.digest = "sha256:" HEX};

	setting_stop(s);
	s->config.sources = sources;
	s->config.source_count = 1;
	setting_start(s);
	task_unref(open_task(s, &rq));
	assert_true(fake_says(fake.last_url, "https://mirror/v2/all/blobs/sha256:" HEX));
	assert_true(fake_says(fake.last_authorization, "Basic c"));
}

static void a_blob_url_and_its_digest_are_one_task(void **state)
{
	struct setting *s = *state;
	struct task_request by_url = {.url = "https://r/v2/a/blobs/sha256:" HEX "?ns=docker.io",
				      .blob_digest_id = true};
	struct task_request by_digest = {.digest = "sha256:" HEX};
	struct task_request by_id = {.id = HEX, .local_only = true};
	struct task *a = open_task(s, &by_url), *b = open_task(s, &by_digest),
		    *c = open_task(s, &by_id);

	assert_ptr_equal(a, b);
	assert_ptr_equal(a, c);
	assert_string_equal(task_meta(a)->digest, "sha256:" HEX);
	assert_int_equal(fake_get(stats), 1);
	task_unref(a);
	task_unref(b);
	task_unref(c);
}

static void what_does_not_count_is_not_kept(void **state)
{
	static const char *const filter[] = {"Signature"};
	struct setting *s = *state;
	struct task_request rq = request_of("http://origin/file?Signature=secret&a=1");
	struct task *t;

	rq.filtered_params = filter;
	rq.filtered_param_count = 1;
	t = open_task(s, &rq);
	assert_string_equal(task_meta(t)->url, "http://origin/file?a=1");
	assert_true(fake_says(fake.last_url, "http://origin/file?Signature=secret&a=1"));
	assert_string_equal(task_meta(t)->headers, "Content-Type: text/plain\n");
	task_unref(t);
}

/* ---- the cluster */

static void what_the_cluster_knows_is_not_asked_of_the_origin(void **state)
{
	struct setting *s = *state;
	struct task_request rq = {.digest = "sha256:" HEX, .piece_length = PIECE};
	struct task *t = open_task(s, &rq);

	assert_int_equal(task_meta(t)->geometry.content_length, LENGTH);
	assert_int_equal(fake_get(stats), 0);
	task_unref(t);
}

static void a_cluster_that_counts_other_pieces_is_not_believed(void **state)
{
	struct setting *s = *state;

	fake_set(fake.task_pieces = COUNT + 1);
	task_unref(open_url(s, URL));
	assert_int_equal(fake_get(stats), 1);
	fake_set(fake.task_pieces = 0; fake.task_length = 0);
	task_unref(open_url(s, "http://origin/2"));
	assert_int_equal(fake_get(stats), 2);
	fake_set(fake.task_length = UINT64_MAX; fake.task_pieces = COUNT);
	task_unref(open_url(s, "http://origin/3"));
	assert_int_equal(fake_get(stats), 3);
}

static void without_leave_the_origin_is_not_asked(void **state)
{
	struct setting *s = *state;
	struct task_request rq = request_of(URL);

	rq.disable_back_to_source = true;
	fake_set(fake.has_task = false);
	assert_int_equal(open_error(s, &rq), EHOSTUNREACH);
	assert_int_equal(fake_get(stats), 0);
}

static void the_seed_is_told_where_a_noted_digest_is(void **state)
{
	struct setting *s = *state;
	struct task_request rq = {.digest = "sha256:" HEX, .piece_length = PIECE};
	struct task *t = open_task(s, &rq);
	struct reading r;

	task_note_source(s->ts, HEX, "https://r", "a", NULL);
	read_start(t, &r, 0, 10, 0);
	await(fake_get(registers) == 1);
	assert_true(fake_says(fake.registered_url, "https://r/v2/a/blobs/sha256:" HEX));
	assert_true(task_read_cancel(&r.w));
	task_unref(t);
}

#define with_setting(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
#define with_cluster(test) cmocka_unit_test_setup_teardown(test, setup_cluster, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_setting(many_who_ask_alike_share_one_question),
		with_setting(who_asks_otherwise_is_answered_by_the_first_who_finds_it),
		with_setting(a_failure_is_remembered_for_a_moment),
		with_setting(a_failure_without_credentials_does_not_count_for_those_who_have_them),
		with_setting(the_latest_credentials_are_used),
		with_setting(errors_are_those_that_openers_expect),
		with_setting(nonsense_is_refused_at_once),
		with_setting(too_many_pieces_are_refused),
		with_setting(an_open_waits_no_longer_than_it_said),
		with_setting(a_cancelled_open_is_not_answered),
		with_setting(at_the_end_opens_are_told),
		with_setting(what_must_be_local_asks_nobody),
		with_setting(who_asks_locally_does_not_wait_for_the_network),
		with_setting(a_bare_digest_is_looked_for_where_it_was_seen),
		with_setting(a_refusal_says_more_than_not_here),
		with_setting(configured_places_are_asked_for_any_digest),
		with_setting(a_blob_url_and_its_digest_are_one_task),
		with_setting(what_does_not_count_is_not_kept),
		with_cluster(what_the_cluster_knows_is_not_asked_of_the_origin),
		with_cluster(a_cluster_that_counts_other_pieces_is_not_believed),
		with_cluster(without_leave_the_origin_is_not_asked),
		with_cluster(the_seed_is_told_where_a_noted_digest_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
