/* daemon/history: what is remembered, for how long, and how it is found. */
#include "test/unit/unit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "daemon/history.h"

#include <string.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int64_t now_ms;

static int freeze(void **state)
{
	(void)state;
	now_ms = 1000000;
	clock_fake(&now_ms);
	return 0;
}

static int thaw(void **state)
{
	(void)state;
	clock_fake(NULL);
	return 0;
}

static struct store_meta meta_of(const char *id, char *url)
{
	struct store_meta m = {.url = url};

	snprintf(m.id, sizeof(m.id), "%s", id);
	assert_true(geometry_init(&m.geometry, 8 << 20, 4 << 20));
	return m;
}

static Skimmer__V1__ExplainResponse find(struct history *h, const char *what)
{
	Skimmer__V1__ExplainRequest rq = SKIMMER__V1__EXPLAIN_REQUEST__INIT;
	Skimmer__V1__ExplainResponse r = SKIMMER__V1__EXPLAIN_RESPONSE__INIT;

	rq.what = (char *)what;
	history_find(h, &rq, &r);
	return r;
}

static void a_download_is_found_by_id_digest_and_url_without_its_query(void **state)
{
	struct history *h = history_new(0, 0);
	char url[] = "https://reg/v2/x/blobs/sha256:" HEX "?sig=secret";
	struct store_meta m = meta_of(HEX, url);
	struct attempt *a = attempt_begin(h, &m, 0, 0);
	const char *const names[] = {"", HEX, "sha256:" HEX,
				     "https://reg/v2/x/blobs/sha256:" HEX "?sig=other"};

	(void)state;
	for (size_t i = 0; i < array_len(names); i++) {
		Skimmer__V1__ExplainResponse r = find(h, names[i]);

		assert_int_equal(r.n_attempts, 1);
		assert_null(strstr(r.attempts[0]->url, "secret"));
		assert_true(r.attempts[0]->active);
		history_release(&r);
	}
	Skimmer__V1__ExplainResponse none = find(h, "https://reg/other");
	assert_int_equal(none.n_attempts, 0);
	history_release(&none);
	attempt_end(&a, NULL);
	assert_null(a);
	history_free(h);
}

static void time_without_transfers_is_idle_once_the_scheduler_has_answered(void **state)
{
	struct history *h = history_new(0, 0);
	struct store_meta m = meta_of(HEX, NULL);
	struct attempt *a = attempt_begin(h, &m, 1, 0);
	const struct parent_info seed = {.host_id = "s-seed", .ip = "10.0.0.9", .is_seed = true};
	const struct piece_times t = {
		.wait = 1, .transfer = 20, .write = 3, .held = 4, .verify = 5};
	Skimmer__V1__ExplainResponse r;

	(void)state;
	now_ms += 10;
	attempt_scheduled(a, "10.0.0.1:8002");
	attempt_offered(a, &seed, 1);
	now_ms += 100; /* idle */
	attempt_busy(a, 1);
	attempt_busy(a, 1);
	now_ms += 30;
	attempt_piece(a, &seed, 1000, 4 << 20, &t);
	attempt_busy(a, -1);
	attempt_busy(a, -1);
	now_ms += 7; /* idle */
	attempt_done(a);
	now_ms += 5000; /* after the end nothing counts */
	attempt_end(&a, "the scheduler went away");
	r = find(h, HEX);
	assert_int_equal(r.attempts[0]->scheduled_us, 10000);
	assert_int_equal(r.attempts[0]->idle_us, 107000);
	assert_int_equal(r.attempts[0]->first_us, 140000);
	assert_int_equal(r.attempts[0]->total_us, 147000);
	assert_int_equal(r.attempts[0]->here, 1);
	assert_string_equal(r.attempts[0]->outcome, "done");
	assert_string_equal(r.attempts[0]->failure, "");
	assert_int_equal(r.attempts[0]->n_givers, 1);
	assert_true(r.attempts[0]->givers[0]->seed && r.attempts[0]->givers[0]->offered);
	assert_int_equal(r.attempts[0]->givers[0]->bytes, 4 << 20);
	assert_int_equal(r.attempts[0]->givers[0]->tx_max, 1000);
	history_release(&r);
	history_free(h);
}

static void failures_name_their_giver_and_the_origin_its_first_reason(void **state)
{
	struct history *h = history_new(0, 0);
	struct store_meta m = meta_of(HEX, NULL);
	struct attempt *a = attempt_begin(h, &m, 0, 0);
	const struct parent_info bad = {.host_id = "bad"};
	Skimmer__V1__ExplainResponse r;

	(void)state;
	attempt_to_origin(a, "first");
	attempt_to_origin(a, "second");
	attempt_lost(a, &bad, true, 50, "wrong crc32");
	attempt_lost(a, NULL, false, 7, "refused");
	attempt_disk_full(a);
	attempt_rescheduled(a);
	attempt_end(&a, "nobody has it");
	r = find(h, HEX);
	assert_string_equal(r.attempts[0]->to_origin_why, "first");
	assert_string_equal(r.attempts[0]->outcome, "failed");
	assert_string_equal(r.attempts[0]->failure, "nobody has it");
	assert_true(r.attempts[0]->disk_full);
	assert_int_equal(r.attempts[0]->reschedules, 1);
	assert_int_equal(r.attempts[0]->n_givers, 2);
	assert_int_equal(r.attempts[0]->givers[0]->corrupt, 1);
	assert_string_equal(r.attempts[0]->givers[0]->last_failure, "wrong crc32");
	assert_string_equal(r.attempts[0]->givers[1]->host_id, "");
	assert_int_equal(r.attempts[0]->givers[1]->corrupt, 0);
	history_release(&r);
	history_free(h);
}

static void old_ones_make_room_even_while_they_are_open(void **state)
{
	struct history *h = history_new(2, 2);
	struct attempt *open[5];
	char id[65];
	Skimmer__V1__ExplainResponse r;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		snprintf(id, sizeof(id), "%064u", i);
		struct store_meta m = meta_of(id, NULL);

		open[i] = attempt_begin(h, &m, 0, 0);
		history_request(h, &(struct history_request){.method = "GET", .url = id});
	}
	attempt_to_origin(open[0], "it lives still");
	r = find(h, "");
	assert_int_equal(r.n_attempts, 2);
	assert_int_equal(r.n_requests, 2);
	assert_string_equal(r.attempts[0]->task_id, id); /* the latest first */
	assert_string_equal(r.requests[0]->url, id);
	history_release(&r);
	for (unsigned i = 0; i < 5; i++)
		attempt_end(&open[i], NULL);
	r = find(h, "");
	assert_string_equal(r.attempts[0]->outcome, "left");
	history_release(&r);
	history_free(h);
}

static void more_givers_than_there_is_room_for_are_not_kept(void **state)
{
	struct history *h = history_new(0, 0);
	struct store_meta m = meta_of(HEX, NULL);
	struct attempt *a = attempt_begin(h, &m, 0, 0);
	Skimmer__V1__ExplainResponse r;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		struct parent_info p = {0};

		snprintf(p.host_id, sizeof(p.host_id), "host-%u", i);
		attempt_offered(a, &p, 1);
	}
	r = find(h, "");
	assert_int_equal(r.attempts[0]->n_givers, 32);
	history_release(&r);
	attempt_end(&a, NULL);
	history_free(h);
}

static void nobody_listening_costs_nothing(void **state)
{
	struct store_meta m = meta_of(HEX, NULL);
	struct attempt *a = attempt_begin(NULL, &m, 0, 0);

	(void)state;
	assert_null(a);
	attempt_busy(a, 1);
	attempt_piece(a, NULL, 0, 1, &(struct piece_times){0});
	attempt_lost(a, NULL, false, 0, "");
	attempt_done(a);
	attempt_end(&a, "x");
	history_request(NULL, &(struct history_request){0});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_download_is_found_by_id_digest_and_url_without_its_query),
		cmocka_unit_test_setup_teardown(
			time_without_transfers_is_idle_once_the_scheduler_has_answered, freeze,
			thaw),
		cmocka_unit_test(failures_name_their_giver_and_the_origin_its_first_reason),
		cmocka_unit_test(old_ones_make_room_even_while_they_are_open),
		cmocka_unit_test(more_givers_than_there_is_room_for_are_not_kept),
		cmocka_unit_test(nobody_listening_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
