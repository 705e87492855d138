/* contrib/dfctl/verdict: the cause that is named for each kind of slow download. */
#include "test/unit/unit.h"

#include "contrib/dfctl/verdict.h"

#include <stdbool.h>
#include <string.h>

#define S  UINT64_C(1000000)
#define MB UINT64_C(1000000)

/* A download of two givers, the origin and a peer, which lasted ten seconds. */
struct pull {
	Skimmer__V1__Attempt a;
	Skimmer__V1__Giver origin, peer;
	Skimmer__V1__Giver *list[2];
	Skimmer__V1__ExplainResponse limits;
};

static struct pull *pull_new(void)
{
	static struct pull p;

	skimmer__v1__attempt__init(&p.a);
	skimmer__v1__giver__init(&p.origin);
	skimmer__v1__giver__init(&p.peer);
	skimmer__v1__explain_response__init(&p.limits);
	p.peer.host_id = (char *)"10.0.0.7-peer";
	p.list[0] = &p.origin;
	p.list[1] = &p.peer;
	p.a.givers = p.list;
	p.a.n_givers = 2;
	p.a.total_us = 10 * S;
	p.a.scheduled_us = S / 100;
	p.a.scheduler = (char *)"10.0.0.1:8002";
	p.a.outcome = (char *)"done";
	p.origin.bytes = p.peer.bytes = 10 * MB;
	return &p;
}

static void expect(const struct pull *p, const char *code)
{
	struct verdict v;

	verdict_of_attempt(&p->a, &p->limits, &v);
	if (code)
		assert_non_null(v.fault);
	else
		assert_null(v.fault);
	if (code)
		assert_string_equal(v.fault->code, code);
}

static void the_longest_part_is_the_cause(void **state)
{
	struct pull *p = pull_new();

	(void)state;
	p->origin.transfer_us = 8 * S;
	p->peer.transfer_us = 2 * S;
	expect(p, "SK401");
	p->origin.held_us = 7 * S;
	expect(p, "SK405");
	p->origin.held_us = 0;
	p->peer.transfer_us = 20 * S;
	expect(p, "SK402");
	p->peer.held_us = 18 * S;
	expect(p, "SK404");
	p->peer.held_us = 0;
	p->peer.write_us = 18 * S;
	expect(p, "SK410");
	p->a.idle_us = 9 * S;
	expect(p, "SK411");
	p->a.idle_us = 0;
	p->a.scheduled_us = 9 * S;
	expect(p, "SK412");
}

static void a_parent_at_its_limit_is_told_from_a_slow_one(void **state)
{
	struct pull *p = pull_new();

	(void)state;
	p->peer.transfer_us = 20 * S; /* 1 MB/s */
	p->peer.tx_max = 1 * MB;
	expect(p, "SK403");
	p->peer.tx_max = 100 * MB;
	expect(p, "SK402");
	p->peer.tx_max = 0;
	expect(p, "SK402");
}

static void what_went_wrong_comes_before_what_was_slow(void **state)
{
	struct pull *p = pull_new();

	(void)state;
	p->origin.transfer_us = 8 * S;
	p->a.to_origin = true;
	p->a.to_origin_why = (char *)"no scheduler answers";
	expect(p, "SK401"); /* the scheduler itself said so */
	p->a.scheduler = (char *)"";
	expect(p, "SK406");
	p->a.disk_full = true;
	expect(p, "SK409");
	p->peer.corrupt = 1;
	expect(p, "SK408");
	p->a.outcome = (char *)"failed";
	expect(p, "SK400");
}

static void what_is_short_or_fast_is_not_slow(void **state)
{
	struct pull *p = pull_new();

	(void)state;
	p->origin.transfer_us = 8 * S;
	p->a.total_us = S / 10;
	expect(p, NULL);
	p->a.total_us = 10 * S;
	p->origin.bytes = 10000 * MB;
	expect(p, NULL);
}

static void the_parts_make_the_whole(void **state)
{
	struct pull *p = pull_new();
	struct spent s;
	uint64_t sum;

	(void)state;
	p->origin.wait_us = 3 * S;
	p->origin.transfer_us = 8 * S;
	p->origin.write_us = S;
	p->peer.transfer_us = 14 * S;
	p->peer.held_us = 2 * S;
	p->peer.lost_us = S;
	p->peer.verify_us = S / 2;
	p->a.idle_us = 2 * S;
	p->a.verify_us = S;
	verdict_spent(&p->a, &s);
	sum = s.scheduler + s.idle + s.origin + s.origin_held + s.peers + s.peers_held + s.disk +
	      s.verify + s.lost;
	assert_in_range(sum, 10 * S - 20, 10 * S);
	assert_int_equal(s.idle, S); /* the whole was verified meanwhile */
	/* Foreign numbers that do not fit make no nonsense. */
	p->a.total_us = S / 2;
	verdict_spent(&p->a, &s);
	assert_in_range(s.scheduler, 0, S / 2);
	assert_int_equal(s.origin, 0);
}

static void a_request_that_was_passed_on_says_why(void **state)
{
	Skimmer__V1__Request r = SKIMMER__V1__REQUEST__INIT;
	struct verdict v;

	(void)state;
	r.url = (char *)"http://o/f";
	r.way = (char *)"relay";
	verdict_of_request(&r, &v);
	assert_string_equal(v.fault->code, "SK407");
	assert_non_null(strstr(v.text, "proxy.rules"));
	r.way = (char *)"tunnel";
	verdict_of_request(&r, &v);
	assert_non_null(strstr(v.text, "CONNECT"));
	r.way = (char *)"p2p";
	verdict_of_request(&r, &v);
	assert_null(v.fault);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_part_is_the_cause),
		cmocka_unit_test(a_parent_at_its_limit_is_told_from_a_slow_one),
		cmocka_unit_test(what_went_wrong_comes_before_what_was_slow),
		cmocka_unit_test(what_is_short_or_fast_is_not_slow),
		cmocka_unit_test(the_parts_make_the_whole),
		cmocka_unit_test(a_request_that_was_passed_on_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
