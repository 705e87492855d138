/* Which cluster a peer belongs to. */
#include "control/manager/search.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const struct search_peer peer = {
	.ip = "10.1.2.3",
	.hostname = "gpu-17.example",
	.idc = "cluster-2",
	.location = "asia|cn|hangzhou|a",
};

static int match(const char *json)
{
	struct search_scopes *s = search_scopes_new(json);
	int first = search_match(s, &peer), again = search_match(s, &peer);

	assert_int_equal(first, again);
	search_scopes_free(s);
	return first;
}

static void cidrs_hold_their_addresses_only(void **state)
{
	(void)state;
	assert_true(search_cidr_holds("10.0.0.0/8", "10.255.0.1"));
	assert_false(search_cidr_holds("10.0.0.0/8", "11.0.0.1"));
	assert_true(search_cidr_holds("10.1.2.128/25", "10.1.2.200"));
	assert_false(search_cidr_holds("10.1.2.128/25", "10.1.2.127"));
	assert_true(search_cidr_holds("0.0.0.0/0", "1.2.3.4"));
	assert_true(search_cidr_holds("fd77::/64", "fd77::9"));
	assert_false(search_cidr_holds("fd77::/64", "fd78::9"));
	assert_false(search_cidr_holds("10.0.0.0/8", "fd77::9"));
}

static void malformed_cidrs_hold_nothing(void **state)
{
	static const char *const bad[] = {
		"",
		"10.0.0.0",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/8x",
		"x/8",
		"::/129",
		"1111111111111111111111111111111111111111111111111111111/8"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(search_cidr_holds(bad[i], "10.0.0.1"));
}

static void each_scope_matches_by_its_own_rule(void **state)
{
	(void)state;
	assert_int_equal(match("{\"cidrs\":[\"9.0.0.0/8\",\"10.0.0.0/8\"]}"), SEARCH_CIDR);
	assert_int_equal(match("{\"idc\":\"cluster-1|CLUSTER-2\"}"), SEARCH_IDC);
	assert_int_equal(match("{\"idc\":\"cluster\"}"), SEARCH_NONE);
	assert_int_equal(match("{\"location\":\"Asia|CN|beijing\"}"), SEARCH_LOCATION + 2);
	assert_int_equal(match("{\"hostnames\":[\"^gpu-[0-9]+\"]}"), SEARCH_HOSTNAME);
	assert_int_equal(match("{}"), SEARCH_NONE);
}

static void nonsense_in_scopes_matches_nothing(void **state)
{
	(void)state;
	assert_int_equal(match(""), SEARCH_NONE);
	assert_int_equal(match("[]"), SEARCH_NONE);
	assert_int_equal(match("{\"cidrs\":7,\"idc\":[],\"location\":{}}"), SEARCH_NONE);
	assert_int_equal(match("{\"hostnames\":[\"(\",3]}"), SEARCH_NONE);
}

static void cidr_beats_idc_beats_location_beats_hostname(void **state)
{
	static const char *const scopes[] = {
		"{}", "{\"hostnames\":[\"gpu\"]}", "{\"location\":\"asia|cn|hangzhou|a\"}",
		"{\"idc\":\"cluster-2\"}", "{\"cidrs\":[\"10.0.0.0/8\"]}"};
	struct search_cluster *list = mem_array(array_len(scopes), sizeof(*list));

	(void)state;
	for (size_t i = 0; i < array_len(scopes); i++)
		list[i].scopes = search_scopes_new(scopes[i]);
	list[0].is_default = true;
	for (int best = 4; best >= 0; best--)
		assert_int_equal(search_choose(list, (size_t)best + 1, &peer), best);
	assert_int_equal(search_choose(list, 0, &peer), -1);
	search_clusters_free(list, array_len(scopes));
}

static void the_first_of_equals_is_chosen_and_the_default_only_without_a_match(void **state)
{
	struct search_cluster *list = mem_array(3, sizeof(*list));

	(void)state;
	list[0].scopes = search_scopes_new("{\"idc\":\"elsewhere\"}");
	list[1].scopes = search_scopes_new("{\"idc\":\"cluster-2\"}");
	list[2].scopes = search_scopes_new("{\"idc\":\"cluster-2\"}");
	list[2].is_default = true;
	assert_int_equal(search_choose(list, 3, &peer), 1);
	assert_int_equal(search_choose(list, 1, &peer), -1);
	search_clusters_free(list, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cidrs_hold_their_addresses_only),
		cmocka_unit_test(malformed_cidrs_hold_nothing),
		cmocka_unit_test(each_scope_matches_by_its_own_rule),
		cmocka_unit_test(nonsense_in_scopes_matches_nothing),
		cmocka_unit_test(cidr_beats_idc_beats_location_beats_hostname),
		cmocka_unit_test(
			the_first_of_equals_is_chosen_and_the_default_only_without_a_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
