/* What several schedulers answered, as one view. */
#include "control/manager/live_view.h"

#include "base/mem.h"
#include "test/unit/unit.h"

#include <string.h>

/* A scheduler that knows two hosts, a feeding b. */
struct answer {
	Skimmer__V1__StatSwarmResponse m;
	Skimmer__V1__SwarmHost hosts[2], *host_list[2];
	Skimmer__V1__SwarmFlow flow, *flow_list[1];
	Skimmer__V1__Meter meter;
};

static void fill(struct answer *a, const char *parent, const char *child, uint64_t bytes)
{
	const char *const ids[] = {parent, child};

	skimmer__v1__stat_swarm_response__init(&a->m);
	skimmer__v1__meter__init(&a->meter);
	a->meter.bytes = bytes;
	a->meter.bytes_per_second = bytes / 10;
	for (int i = 0; i < 2; i++) {
		skimmer__v1__swarm_host__init(&a->hosts[i]);
		a->hosts[i].id = a->hosts[i].hostname = (char *)ids[i];
		a->hosts[i].received = &a->meter;
		a->hosts[i].peer_count = 1;
		a->host_list[i] = &a->hosts[i];
	}
	skimmer__v1__swarm_flow__init(&a->flow);
	a->flow.child = 1;
	a->flow.meter = &a->meter;
	a->flow.quiet_ms = (int64_t)bytes;
	a->flow_list[0] = &a->flow;
	a->m.hosts = a->host_list;
	a->m.n_hosts = a->m.host_count = 2;
	a->m.flows = a->flow_list;
	a->m.n_flows = 1;
	a->m.started_ms = 1700000000000;
	a->m.nodes_from_seeds = a->m.seeds_from_origin = &a->meter;
}

static const json_t *at(const json_t *view, const char *list, size_t i)
{
	return json_array_get(json_object_get(view, list), i);
}

static void a_host_of_two_schedulers_of_a_cluster_is_one(void **state)
{
	struct answer one, two, other;
	struct live_answer list[] = {{.cluster = 1, .m = &one.m},
				     {.cluster = 1, .m = &two.m},
				     {.cluster = 2, .m = &other.m},
				     {.cluster = 2}};
	json_t *view cleanup(json_decref_at) = NULL;

	(void)state;
	fill(&one, "a", "b", 100);
	fill(&two, "a", "b", 50);
	fill(&other, "a", "b", 7);
	view = live_view_topology(list, array_len(list));
	assert_int_equal(json_u64(view, "known_hosts", 0), 6);
	assert_int_equal(json_array_size(json_object_get(view, "hosts")), 4);
	assert_int_equal(json_array_size(json_object_get(view, "flows")), 2);
	assert_int_equal(json_u64(at(view, "flows", 0), "bytes", 0), 150);
	assert_int_equal(json_u64(at(view, "flows", 0), "bytes_per_second", 0), 15);
	assert_int_equal(json_u64(at(view, "flows", 0), "quiet_ms", 0), 50);
	assert_int_equal(json_u64(at(view, "hosts", 0), "downloads", 0), 2);
	assert_int_equal(json_u64(json_object_get(at(view, "hosts", 1), "received"), "bytes", 0),
			 150);
	assert_int_equal(json_u64(at(view, "flows", 1), "child", 0), 3);
}

static void flows_that_name_no_host_are_passed_over(void **state)
{
	struct answer a;
	struct live_answer list[] = {{.cluster = 1, .m = &a.m}};
	json_t *view cleanup(json_decref_at) = NULL;

	(void)state;
	fill(&a, "a", "b", 1);
	a.flow.child = 2;
	view = live_view_topology(list, 1);
	assert_int_equal(json_array_size(json_object_get(view, "flows")), 0);
}

static void a_tasks_url_is_shown_without_its_secrets(void **state)
{
	Skimmer__V1__SwarmTask task = SKIMMER__V1__SWARM_TASK__INIT, *tasks[] = {&task};
	Skimmer__V1__StatSwarmResponse m = SKIMMER__V1__STAT_SWARM_RESPONSE__INIT;
	struct live_answer list[] = {{.cluster = 1, .m = &m}};
	json_t *view cleanup(json_decref_at) = NULL;
	char *text cleanup(free_at) = NULL;

	(void)state;
	task.url = (char *)"https://u:planted1@host/file?X-Amz-Signature=planted2";
	m.tasks = tasks;
	m.n_tasks = 1;
	view = live_view_tasks(list, 1);
	text = json_print(view);
	assert_non_null(strstr(text, "host/file?"));
	assert_null(strstr(text, "planted"));
	task.url = (char *)"\xff";
	json_decref(view);
	view = live_view_tasks(list, 1);
	assert_string_equal(json_str(at(view, "tasks", 0), "url"), "?");
}

static void the_overview_sums_and_says_who_is_silent(void **state)
{
	struct answer one, two;
	struct live_answer list[] = {{.cluster = 1, .m = &one.m},
				     {.cluster = 1, .m = &two.m},
				     {.cluster = 1, .scheduler = "s", .why = "no answer"}};
	json_t *view cleanup(json_decref_at) = NULL;
	const json_t *traffic;
	struct db *db = NULL;

	(void)state;
	assert_int_equal(db_open(":memory:", &db, NULL), 0);
	fill(&one, "a", "b", 100);
	fill(&two, "a", "b", UINT64_MAX / 4);
	assert_int_equal(live_view_overview(db, list, array_len(list), &view, NULL), 0);
	traffic = json_object_get(view, "traffic");
	assert_int_equal(json_u64(json_object_get(traffic, "delivered"), "bytes", 0),
			 UINT64_MAX / 4 + 100);
	assert_int_equal(json_u64(traffic, "saved_bytes", 1), 0);
	assert_string_equal(json_str(traffic, "since"), "2023-11-14T22:13:20.000Z");
	assert_string_equal(json_str(at(view, "silent", 0), "why"), "no answer");
	/* A first start's cluster has neither a scheduler nor a seed in the database. */
	assert_int_equal(json_array_size(json_object_get(view, "checks")), 2);
	db_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_of_two_schedulers_of_a_cluster_is_one),
		cmocka_unit_test(flows_that_name_no_host_are_passed_over),
		cmocka_unit_test(a_tasks_url_is_shown_without_its_secrets),
		cmocka_unit_test(the_overview_sums_and_says_who_is_silent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
