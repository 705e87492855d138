/* daemon/fetch_witness: what is believed only by the word of a member. The witnesses are fakes;
 * real ones, and pieces that are forged under way, are in integration/41_members_by_tls.py. */
#include "test/unit/daemon/task_fixture.h"

#include "daemon/channels.h"
#include "daemon/task_wait.h"
#include "daemon/witness.h"

#define LENGTH	   (3 * PIECE - 7)
#define PIECES	   3u
#define NAME	   TASK_OWN_NAMES "layer-index/2/sha256:0"
#define WITNESS_MS 600

static struct rpc_tls secured = {.ca = (char *)"never opened: the parents are fakes"};

static struct {
	struct lock lock;
	int answers[4]; /* errno, 0 = it is; the last one is repeated */
	unsigned asked, of;
	char hex[DIGEST_HEX_LEN + 1];
	uint16_t port;
} word;

int witness_ask(const char *task_id, const char *sha256_hex_of, const struct witness *list,
		unsigned count, const bool *cancelled, struct err *e)
{
	int code;

	(void)task_id, (void)cancelled;
	lock_guard(&word.lock);
	code = word.answers[word.asked < 3 ? word.asked : 3];
	word.asked++;
	word.of = count;
	word.port = count ? list[0].port : 0;
	snprintf(word.hex, sizeof(word.hex), "%s", sha256_hex_of);
	return code ? err_set(e, code, "a fake witness") : 0;
}

static unsigned asked(void)
{
	lock_guard(&word.lock);
	return word.asked;
}

/* The fourth is for all that come after. */
static void will_answer(int first, int second, int third, int others)
{
	lock_guard(&word.lock);
	word.answers[0] = first;
	word.answers[1] = second;
	word.answers[2] = third;
	word.answers[3] = others;
	word.asked = 0;
}

static int setup(void **state)
{
	struct setting *s;
	int r = setup_known(state, LENGTH);

	s = *state;
	setting_stop(s);
	s->config.witness_ms = WITNESS_MS;
	setting_start(s);
	lock_init(&word.lock, 96);
	channels_secure(&secured);
	fake_will_say(parents_of(1));
	fake_set(fake.peers[0].has = (1u << PIECES) - 1);
	return r;
}

static int teardown_word(void **state)
{
	int r = teardown(state);

	channels_secure(NULL);
	lock_release(&word.lock);
	return r;
}

static struct task *open_name(struct setting *s, const char *name)
{
	const struct task_request rq = {
		.content_for_id = name, .piece_length = PIECE, .disable_back_to_source = true};

	return open_task(s, &rq);
}

/* 0 or why it does not come. */
static int fetch_all(struct setting *s, struct task *t)
{
	const bool never = false;
	const struct task_wait w = {.deadline_ms = clock_ms() + WAIT_MS, .stopping = &never};
	int fd;

	s->e = (struct err){0};
	return task_wait_complete(t, TASK_URGENT, &w, &fd, &s->e);
}

static void a_members_word_is_asked_for_and_enough(void **state)
{
	unsigned char *bytes cleanup(free_at) = mem_alloc(LENGTH);
	struct setting *s = *state;
	struct task *t = open_name(s, NAME);
	char hex[DIGEST_HEX_LEN + 1];

	will_answer(0, EIO, EIO, EIO);
	assert_int_equal(fetch_all(s, t), 0);
	fake_bytes(SEED, 0, LENGTH, bytes);
	sha256_hex(bytes, LENGTH, hex);
	assert_int_equal(asked(), 1);
	assert_string_equal(word.hex, hex);
	assert_int_equal(word.of, 1);
	assert_int_equal(word.port, FAKE_PORT);
	task_unref(t);
}

static void what_is_other_at_a_member_is_dropped(void **state)
{
	struct setting *s = *state;
	struct task *t = open_name(s, NAME);
	struct task_progress p;

	will_answer(EBADMSG, EBADMSG, EBADMSG, EBADMSG);
	assert_int_equal(fetch_all(s, t), -EBADMSG);
	task_progress(t, &p);
	assert_false(p.complete);
	assert_int_equal(p.ready_count, 0);
	for (uint32_t i = 0; i < PIECES; i++)
		assert_false(task_piece_kept(t, i));
	assert_int_equal(fake_get(gets), 0); /* there is no origin of it */
	task_unref(t);
}

static void who_cannot_tell_yet_is_asked_again(void **state)
{
	struct setting *s = *state;
	struct task *t = open_name(s, NAME);

	will_answer(EHOSTUNREACH, EHOSTUNREACH, 0, EIO);
	assert_int_equal(fetch_all(s, t), 0);
	assert_int_equal(asked(), 3);
	task_unref(t);
}

static void what_nobody_vouches_for_is_dropped_in_the_end(void **state)
{
	struct setting *s = *state;
	struct task *t = open_name(s, NAME);
	int64_t began_ms = clock_ms();

	will_answer(EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH);
	assert_int_equal(fetch_all(s, t), -EBADMSG);
	assert_true(clock_ms() - began_ms >= WITNESS_MS);
	assert_true(asked() >= 2);
	assert_false(task_piece_kept(t, 0));
	task_unref(t);
}

/* A pack's blocks are compared one by one; files have a digest or nobody's word. */
static void nobody_is_asked_for_other_names(void **state)
{
	static const char *const names[] = {TASK_PACK_NAMES "1/sha256:0", "not/ours"};
	struct setting *s = *state;

	will_answer(EIO, EIO, EIO, EIO);
	for (unsigned i = 0; i < array_len(names); i++) {
		struct task *t = open_name(s, names[i]);

		assert_int_equal(fetch_all(s, t), 0);
		task_unref(t);
	}
	assert_int_equal(asked(), 0);
}

static void nobody_is_asked_without_tls(void **state)
{
	struct setting *s = *state;
	struct task *t = open_name(s, NAME);

	channels_secure(NULL);
	will_answer(EIO, EIO, EIO, EIO);
	assert_int_equal(fetch_all(s, t), 0);
	assert_int_equal(asked(), 0);
	task_unref(t);
}

/* Who asked for it first may have known its id alone. */
static void it_is_enough_that_one_asks_by_the_name(void **state)
{
	struct setting *s = *state;
	struct task *named = open_name(s, NAME), *t;
	char id[65];

	snprintf(id, sizeof(id), "%s", task_meta(named)->id);
	task_unref(named);
	setting_stop(s);
	setting_start(s);
	t = open_task(s, &(struct task_request){.id = id, .disable_back_to_source = true});
	named = open_name(s, NAME);
	assert_ptr_equal(named, t);
	will_answer(0, EIO, EIO, EIO);
	assert_int_equal(fetch_all(s, t), 0);
	assert_int_equal(asked(), 1);
	task_unref(named);
	task_unref(t);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown_word)
	const struct CMUnitTest tests[] = {
		TEST(a_members_word_is_asked_for_and_enough),
		TEST(what_is_other_at_a_member_is_dropped),
		TEST(who_cannot_tell_yet_is_asked_again),
		TEST(what_nobody_vouches_for_is_dropped_in_the_end),
		TEST(nobody_is_asked_for_other_names),
		TEST(nobody_is_asked_without_tls),
		TEST(it_is_enough_that_one_asks_by_the_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
