/* manager.v2.Manager over a real socket and a real database. */
#include "control/manager/service.h"

#include "base/clock.h"
#include "base/mem.h"
#include "control/manager/cluster.h"
#include "control/manager/member.h"
#include "manager_v2.pb-c.h"
#include "test/unit/rpc_group.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct fixture {
	struct db *db;
	struct rpc_server *server;
	struct rpc_channel *channel;
};

static int start(void **state)
{
	static const char *const listen[] = {"127.0.0.1:0", NULL};
	static const struct rpc_method *const services[] = {service_methods, NULL};
	struct fixture *f = mem_new(struct fixture);
	void *args[] = {NULL};
	struct rpc_server_config c = {.listen = listen, .services = services, .service_args = args};
	char target[32];

	assert_int_equal(db_open(":memory:", &f->db, NULL), 0);
	args[0] = f->db;
	assert_int_equal(rpc_server_new(&c, &f->server, NULL), 0);
	snprintf(target, sizeof(target), "127.0.0.1:%u", rpc_server_port(f->server));
	f->channel = rpc_channel_new(target, NULL);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	rpc_channel_free(f->channel);
	rpc_server_free(f->server, 1000);
	db_close(f->db);
	free(f);
	return 0;
}

static int call(struct fixture *f, const char *path, const ProtobufCMessage *rq,
		const ProtobufCMessageDescriptor *desc, ProtobufCMessage **out)
{
	struct err e = {0};

	return rpc_unary(f->channel, path, rq, desc, 5000, out, NULL, &e);
}

static int update(struct fixture *f, const char *hostname, uint64_t cluster, int port,
		  Manager__V2__Scheduler **out)
{
	Manager__V2__UpdateSchedulerRequest rq = MANAGER__V2__UPDATE_SCHEDULER_REQUEST__INIT;

	rq.hostname = (char *)hostname;
	rq.ip = (char *)"10.0.0.1";
	rq.port = port;
	rq.scheduler_cluster_id = cluster;
	return call(f, "/manager.v2.Manager/UpdateScheduler", &rq.base,
		    &manager__v2__scheduler__descriptor, (ProtobufCMessage **)out);
}

static Manager__V2__ListSchedulersResponse *list(struct fixture *f, const char *idc,
						 uint64_t cluster)
{
	Manager__V2__ListSchedulersRequest rq = MANAGER__V2__LIST_SCHEDULERS_REQUEST__INIT;
	ProtobufCMessage *out = NULL;

	rq.hostname = (char *)"node";
	rq.ip = (char *)"10.0.0.9";
	rq.scheduler_cluster_id = cluster;
	if (idc) {
		rq.idc__case = MANAGER__V2__LIST_SCHEDULERS_REQUEST__IDC__IDC;
		rq.idc = (char *)idc;
	}
	assert_int_equal(call(f, "/manager.v2.Manager/ListSchedulers", &rq.base,
			      &manager__v2__list_schedulers_response__descriptor, &out),
			 0);
	return (Manager__V2__ListSchedulersResponse *)out;
}

static size_t list_count(struct fixture *f, const char *idc, uint64_t cluster, char *first,
			 size_t size)
{
	Manager__V2__ListSchedulersResponse *l = list(f, idc, cluster);
	size_t count = l->n_schedulers;

	if (first)
		snprintf(first, size, "%s", count ? l->schedulers[0]->hostname : "");
	protobuf_c_message_free_unpacked(&l->base, NULL);
	return count;
}

static void stream_closed(struct rpc_stream *s, enum rpc_code code, const char *text,
			  const void *details, size_t len, void *arg)
{
	(void)s, (void)code, (void)text, (void)details, (void)len, (void)arg;
}

static struct rpc_stream *keep_alive(struct fixture *f, const char *hostname, uint64_t cluster)
{
	static const struct rpc_stream_ops ops = {.response = &google__protobuf__empty__descriptor,
						  .closed = stream_closed};
	Manager__V2__KeepAliveRequest rq = MANAGER__V2__KEEP_ALIVE_REQUEST__INIT;
	struct rpc_stream *s =
		rpc_stream_new(f->channel, "/manager.v2.Manager/KeepAlive", &ops, NULL, 0);

	rq.source_type = MANAGER__V2__SOURCE_TYPE__SCHEDULER_SOURCE;
	rq.hostname = (char *)hostname;
	rq.ip = (char *)"10.0.0.1";
	rq.cluster_id = cluster;
	assert_true(rpc_stream_send(s, &rq.base));
	return s;
}

/* Polls, as a peer does, until the list of the cluster has so many. */
static bool becomes(struct fixture *f, uint64_t cluster, size_t want)
{
	int64_t end = clock_ms() + 20000;
	struct timespec pause = {.tv_nsec = 5000000};

	while (list_count(f, NULL, cluster, NULL, 0) != want) {
		if (clock_ms() > end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

static void first_start_has_a_default_cluster(void **state)
{
	struct fixture *f = *state;
	struct cluster *c = NULL;
	size_t count = 0;

	assert_int_equal(cluster_list(f->db, &c, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(c[0].id, 1);
	assert_string_equal(c[0].name, "cluster-1");
	assert_true(c[0].is_default);
	cluster_release(&c[0]);
	free(c);
}

static void scheduler_is_listed_while_its_keep_alive_lasts(void **state)
{
	struct fixture *f = *state;
	Manager__V2__Scheduler *row = NULL;
	struct rpc_stream *s;

	assert_int_equal(update(f, "sched-a", 1, 8002, &row), 0);
	assert_string_equal(row->state, "inactive");
	assert_int_equal(row->scheduler_cluster->id, 1);
	protobuf_c_message_free_unpacked(&row->base, NULL);
	assert_int_equal(list_count(f, NULL, 0, NULL, 0), 0);
	s = keep_alive(f, "sched-a", 1);
	assert_true(becomes(f, 1, 1));
	rpc_stream_free(s);
	assert_true(becomes(f, 1, 0));
}

static void peers_get_the_schedulers_of_their_own_cluster_only(void **state)
{
	struct fixture *f = *state;
	struct rpc_stream *a, *b;
	uint64_t second = 0;
	char first[32];
	Manager__V2__Scheduler *row = NULL;

	assert_int_equal(cluster_add(f->db, "b", "{\"idc\":\"cluster-2\"}", &second, NULL), 0);
	assert_int_equal(update(f, "sched-a", 1, 8002, &row), 0);
	protobuf_c_message_free_unpacked(&row->base, NULL);
	assert_int_equal(update(f, "sched-b", second, 8002, &row), 0);
	protobuf_c_message_free_unpacked(&row->base, NULL);
	a = keep_alive(f, "sched-a", 1);
	b = keep_alive(f, "sched-b", second);
	assert_true(becomes(f, 1, 1));
	assert_true(becomes(f, second, 1));

	assert_int_equal(list_count(f, NULL, 0, first, sizeof(first)), 1);
	assert_string_equal(first, "sched-a");
	assert_int_equal(list_count(f, "cluster-2", 0, first, sizeof(first)), 1);
	assert_string_equal(first, "sched-b");
	assert_int_equal(list_count(f, "cluster-2", 1, first, sizeof(first)), 1);
	assert_string_equal(first, "sched-a"); /* pinned */
	rpc_stream_free(b);
	assert_true(becomes(f, second, 0));
	/* Its own scheduler is down: nobody's, rather than another cluster's. */
	assert_int_equal(list_count(f, "cluster-2", 0, NULL, 0), 0);
	rpc_stream_free(a);
}

static void update_of_an_unknown_cluster_is_refused(void **state)
{
	struct fixture *f = *state;
	Manager__V2__Scheduler *row = NULL;

	assert_int_equal(update(f, "sched-a", 99, 8002, &row), -ENOENT);
	assert_int_equal(update(f, "", 1, 8002, &row), -EINVAL);
	assert_null(row);
}

static void seed_peers_come_and_go(void **state)
{
	struct fixture *f = *state;
	Manager__V2__UpdateSeedPeerRequest rq = MANAGER__V2__UPDATE_SEED_PEER_REQUEST__INIT;
	Manager__V2__DeleteSeedPeerRequest del = MANAGER__V2__DELETE_SEED_PEER_REQUEST__INIT;
	ProtobufCMessage *out = NULL;
	Manager__V2__Scheduler *row = NULL;

	rq.hostname = del.hostname = (char *)"seed";
	rq.ip = del.ip = (char *)"10.0.0.2";
	rq.type = (char *)"super";
	rq.port = rq.download_port = 4000;
	rq.seed_peer_cluster_id = del.seed_peer_cluster_id = 1;
	assert_int_equal(call(f, "/manager.v2.Manager/UpdateSeedPeer", &rq.base,
			      &manager__v2__seed_peer__descriptor, &out),
			 0);
	assert_int_equal(((Manager__V2__SeedPeer *)out)->port, 4000);
	protobuf_c_message_free_unpacked(out, NULL);
	assert_int_equal(update(f, "sched-a", 1, 8002, &row), 0);
	assert_int_equal(row->n_seed_peers, 1);
	protobuf_c_message_free_unpacked(&row->base, NULL);
	assert_int_equal(call(f, "/manager.v2.Manager/DeleteSeedPeer", &del.base,
			      &google__protobuf__empty__descriptor, &out),
			 0);
	protobuf_c_message_free_unpacked(out, NULL);
	assert_int_equal(call(f, "/manager.v2.Manager/DeleteSeedPeer", &del.base,
			      &google__protobuf__empty__descriptor, &out),
			 -ENOENT);
}

static void applications_carry_their_priorities(void **state)
{
	struct fixture *f = *state;
	Manager__V2__ListApplicationsRequest rq = MANAGER__V2__LIST_APPLICATIONS_REQUEST__INIT;
	Manager__V2__ListApplicationsResponse *l = NULL;

	assert_int_equal(db_run(f->db, NULL, NULL,
				"INSERT INTO applications (name, url, priority, created_ms,"
				" updated_ms) VALUES ('ml', 'http://x/', ?, 0, 0)",
				"s", "{\"value\":3,\"urls\":[{\"regex\":\"blobs\",\"value\":5}]}"),
			 0);
	rq.hostname = (char *)"s";
	rq.ip = (char *)"10.0.0.1";
	assert_int_equal(call(f, "/manager.v2.Manager/ListApplications", &rq.base,
			      &manager__v2__list_applications_response__descriptor,
			      (ProtobufCMessage **)&l),
			 0);
	assert_int_equal(l->n_applications, 1);
	assert_int_equal(l->applications[0]->priority->value, 3);
	assert_string_equal(l->applications[0]->priority->urls[0]->regex, "blobs");
	protobuf_c_message_free_unpacked(&l->base, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(first_start_has_a_default_cluster, start, stop),
		cmocka_unit_test_setup_teardown(scheduler_is_listed_while_its_keep_alive_lasts,
						start, stop),
		cmocka_unit_test_setup_teardown(peers_get_the_schedulers_of_their_own_cluster_only,
						start, stop),
		cmocka_unit_test_setup_teardown(update_of_an_unknown_cluster_is_refused, start,
						stop),
		cmocka_unit_test_setup_teardown(seed_peers_come_and_go, start, stop),
		cmocka_unit_test_setup_teardown(applications_carry_their_priorities, start, stop),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
