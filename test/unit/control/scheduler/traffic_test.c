/* Sums of what peers report: by source, by pair of hosts, and by time. */
#include "control/scheduler/traffic.h"

#include "control/scheduler/state.h"
#include "test/unit/unit.h"

static void a_rate_is_of_the_last_whole_window(void **state)
{
	struct meter m = {0};

	(void)state;
	meter_add(&m, 1000, 100000);
	meter_add(&m, 3000, 101999);
	assert_int_equal(meter_rate(&m, 101999), 0); /* not whole yet */
	assert_int_equal(meter_rate(&m, 102000), 2000);
	meter_add(&m, 8000, 102500);
	assert_int_equal(meter_rate(&m, 103000), 2000);
	assert_int_equal(meter_rate(&m, 104000), 4000);
	assert_int_equal(meter_rate(&m, 106000), 0); /* a window in which nothing came */
	meter_add(&m, 2, 106000);
	assert_int_equal(meter_rate(&m, 106001), 0);
	assert_int_equal(m.total, 12002);
}

static void bytes_are_told_apart_by_who_got_them_from_whom(void **state)
{
	struct host seed = {.id = (char *)"s", .type = TYPE_SEED}, a = {.id = (char *)"a"},
		    b = {.id = (char *)"b"};
	struct traffic t;

	(void)state;
	traffic_init(&t);
	traffic_piece(&t, &seed, NULL, 1, 1000);
	traffic_piece(&t, &a, &seed, 20, 1000);
	traffic_piece(&t, &b, &a, 300, 1000);
	traffic_piece(&t, &b, &a, 300, 1000);
	traffic_piece(&t, &b, NULL, 4000, 1000);
	traffic_piece(&t, &seed, &b, 50000, 1000);
	assert_int_equal(t.seeds_from_origin.total, 1);
	assert_int_equal(t.nodes_from_seeds.total, 20);
	assert_int_equal(t.nodes_from_nodes.total, 600);
	assert_int_equal(t.nodes_from_origin.total, 4000);
	assert_int_equal(t.seeds_from_hosts.total, 50000);
	assert_int_equal(b.received.total, 600);
	assert_int_equal(b.from_origin.total, 4000);
	assert_int_equal(b.sent.total, 50000);
	assert_int_equal(map_count(t.flows), 3);
	traffic_release(&t);
}

static void quiet_flows_are_forgotten_and_new_ones_bounded(void **state)
{
	char id[16];
	struct host parent = {.id = (char *)"p"}, child = {.id = id};
	struct traffic t;

	(void)state;
	traffic_init(&t);
	for (int i = 0; i < FLOWS_MAX + 10; i++) {
		snprintf(id, sizeof(id), "c%d", i);
		traffic_piece(&t, &child, &parent, 1, i < 10 ? 1000 : 2000);
	}
	assert_int_equal(map_count(t.flows), FLOWS_MAX);
	assert_int_equal(t.nodes_from_nodes.total, FLOWS_MAX + 10);
	traffic_gc(&t, 1000 + FLOW_QUIET_MS);
	assert_int_equal(map_count(t.flows), FLOWS_MAX);
	traffic_gc(&t, 1001 + FLOW_QUIET_MS);
	assert_int_equal(map_count(t.flows), FLOWS_MAX - 10);
	traffic_release(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_is_of_the_last_whole_window),
		cmocka_unit_test(bytes_are_told_apart_by_who_got_them_from_whom),
		cmocka_unit_test(quiet_flows_are_forgotten_and_new_ones_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
