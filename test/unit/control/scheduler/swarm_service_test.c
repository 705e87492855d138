/* skimmer.v1.Swarm over a real socket: what peers report is what is answered. */
#include "base/clock.h"
#include "base/mem.h"
#include "control/scheduler/service.h"
#include "proto/message.h"
#include "scheduler_v2.pb-c.h"
#include "skimmer_v1.pb-c.h"
#include "test/unit/rpc_group.h"
#include "test/unit/unit.h"

#include <google/protobuf/empty.pb-c.h>
#include <poll.h>
#include <string.h>

#define WAIT_MS	   20000
#define PIECE	   (4u << 20)
#define SAYS(what) SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_##what##_REQUEST

struct fixture {
	struct service *service;
	struct rpc_server *server;
	struct rpc_channel *channel;
};

static int start(void **state)
{
	static const struct state_config config = {
		.algorithm = PICK_SKIMMER,
		.candidate_parent_limit = 4,
		.filter_parent_limit = 40,
		.back_to_source_count = 2,
		.wait_ms = 2000,
		.seed_wait_ms = 5000,
		.seed_failed_ms = 30000,
		.peer_ttl_ms = 1000000,
		.host_ttl_ms = 100000,
		.piece_timeout_ms = 500000,
		.random_seed = 7,
	};
	static const char *const listen[] = {"127.0.0.1:0", NULL};
	const struct rpc_method *const services[] = {service_methods, service_swarm_methods, NULL};
	struct fixture *f = mem_new(struct fixture);
	void *args[2];
	struct rpc_server_config c = {.listen = listen, .services = services, .service_args = args};
	char addr[32];

	f->service = args[0] = args[1] = service_new(&config, NULL, NULL);
	assert_int_equal(rpc_server_new(&c, &f->server, NULL), 0);
	snprintf(addr, sizeof(addr), "127.0.0.1:%u", rpc_server_port(f->server));
	f->channel = rpc_channel_new(addr, NULL);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	rpc_channel_free(f->channel);
	rpc_server_free(f->server, 1000);
	service_free(f->service);
	free(f);
	return 0;
}

static int ask(struct fixture *f, const char *path, const ProtobufCMessage *rq,
	       const ProtobufCMessageDescriptor *type, void *out)
{
	ProtobufCMessage *m = NULL;
	int code = -1;

	if (rpc_unary(f->channel, path, rq, type, WAIT_MS, &m, &code, NULL) < 0)
		return code;
	if (out)
		*(ProtobufCMessage **)out = m;
	else
		protobuf_c_message_free_unpacked(m, NULL);
	return RPC_OK;
}

static void announce(struct fixture *f, const char *id, bool seed)
{
	Scheduler__V2__AnnounceHostRequest rq = SCHEDULER__V2__ANNOUNCE_HOST_REQUEST__INIT;
	Common__V2__Host h = COMMON__V2__HOST__INIT;

	h.id = h.hostname = (char *)id;
	h.ip = (char *)"127.0.0.1";
	h.type = seed;
	h.port = h.download_port = 1;
	rq.host = &h;
	assert_int_equal(ask(f, "/scheduler.v2.Scheduler/AnnounceHost", &rq.base,
			     &google__protobuf__empty__descriptor, NULL),
			 RPC_OK);
}

static void on_closed(struct rpc_stream *s, enum rpc_code code, const char *text,
		      const void *details, size_t len, void *arg)
{
	(void)s, (void)code, (void)text, (void)details, (void)len, (void)arg;
}

static const struct rpc_stream_ops ops = {
	.response = &scheduler__v2__announce_peer_response__descriptor,
	.closed = on_closed,
};

static void say(struct rpc_stream *s, const char *host, Scheduler__V2__AnnouncePeerRequest *rq)
{
	char peer[32];

	snprintf(peer, sizeof(peer), "peer-%s", host);
	rq->host_id = (char *)host;
	rq->peer_id = peer;
	rq->task_id = (char *)"task";
	assert_true(rpc_stream_send(s, &rq->base));
}

static struct rpc_stream *begin(struct fixture *f, const char *host)
{
	struct rpc_stream *s =
		rpc_stream_new(f->channel, "/scheduler.v2.Scheduler/AnnouncePeer", &ops, f, 0);
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__RegisterPeerRequest r = SCHEDULER__V2__REGISTER_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPeerBackToSourceStartedRequest source =
		SCHEDULER__V2__DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED_REQUEST__INIT;
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;

	d.url = (char *)"http://10.9.9.9/f";
	message_set(&d, actual_content_length,
		    COMMON__V2__DOWNLOAD__ACTUAL_CONTENT_LENGTH__ACTUAL_CONTENT_LENGTH,
		    10ull * PIECE);
	message_set(&d, actual_piece_length,
		    COMMON__V2__DOWNLOAD__ACTUAL_PIECE_LENGTH__ACTUAL_PIECE_LENGTH, PIECE);
	r.download = &d;
	rq.request_case = SAYS(REGISTER_PEER);
	rq.register_peer_request = &r;
	say(s, host, &rq);
	rq.request_case = SAYS(DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED);
	rq.download_peer_back_to_source_started_request = &source;
	say(s, host, &rq);
	return s;
}

static void say_piece(struct rpc_stream *s, const char *host, uint32_t number, uint64_t len,
		      const char *parent)
{
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPieceFinishedRequest peer =
		SCHEDULER__V2__DOWNLOAD_PIECE_FINISHED_REQUEST__INIT;
	Scheduler__V2__DownloadPieceBackToSourceFinishedRequest source =
		SCHEDULER__V2__DOWNLOAD_PIECE_BACK_TO_SOURCE_FINISHED_REQUEST__INIT;
	Common__V2__Piece p = COMMON__V2__PIECE__INIT;

	p.number = number;
	p.length = len;
	peer.piece = source.piece = &p;
	if (parent) {
		message_set(&p, parent_id, COMMON__V2__PIECE__PARENT_ID__PARENT_ID, (char *)parent);
		rq.request_case = SAYS(DOWNLOAD_PIECE_FINISHED);
		rq.download_piece_finished_request = &peer;
	} else {
		rq.request_case = SAYS(DOWNLOAD_PIECE_BACK_TO_SOURCE_FINISHED);
		rq.download_piece_back_to_source_finished_request = &source;
	}
	say(s, host, &rq);
}

static Skimmer__V1__StatSwarmResponse *swarm(struct fixture *f, uint32_t hosts, uint32_t flows)
{
	Skimmer__V1__StatSwarmRequest rq = SKIMMER__V1__STAT_SWARM_REQUEST__INIT;
	Skimmer__V1__StatSwarmResponse *m = NULL;

	rq.hosts_max = hosts;
	rq.flows_max = rq.tasks_max = flows;
	assert_int_equal(ask(f, "/skimmer.v1.Swarm/StatSwarm", &rq.base,
			     &skimmer__v1__stat_swarm_response__descriptor, &m),
			 RPC_OK);
	return m;
}

/* Until all that was said has been heard. */
static Skimmer__V1__StatSwarmResponse *swarm_with(struct fixture *f, uint64_t from_origin,
						  uint64_t from_hosts)
{
	int64_t until = clock_ms() + WAIT_MS;
	Skimmer__V1__StatSwarmResponse *m = swarm(f, 10, 10);

	while ((m->nodes_from_origin->bytes != from_origin ||
		m->nodes_from_nodes->bytes != from_hosts) &&
	       clock_ms() < until) {
		protobuf_c_message_free_unpacked(&m->base, NULL);
		poll(NULL, 0, 5);
		m = swarm(f, 10, 10);
	}
	assert_int_equal(m->nodes_from_origin->bytes, from_origin);
	assert_int_equal(m->nodes_from_nodes->bytes, from_hosts);
	return m;
}

static void what_is_reported_is_told_and_no_more_than_a_piece_at_a_time(void **state)
{
	struct fixture *f = *state;
	Skimmer__V1__StatSwarmResponse *m;
	struct rpc_stream *a, *b;

	announce(f, "a", false);
	announce(f, "b", false);
	announce(f, "seed", true);
	a = begin(f, "a");
	say_piece(a, "a", 0, PIECE, NULL);
	say_piece(a, "a", 9, UINT64_MAX, NULL);
	protobuf_c_message_free_unpacked(&swarm_with(f, 2ull * PIECE, 0)->base, NULL);
	b = begin(f, "b");
	say_piece(b, "b", 0, 1000, "peer-nobody");
	say_piece(b, "b", 0, 1000, "peer-a");
	m = swarm_with(f, 2ull * PIECE, 1000);
	assert_int_equal(m->host_count, 3);
	assert_int_equal(m->seed_count, 1);
	assert_int_equal(m->task_count, 1);
	assert_int_equal(m->peer_count, 2);
	assert_int_equal(m->n_hosts, 3);
	assert_int_equal(m->n_flows, 1);
	assert_string_equal(m->hosts[m->flows[0]->parent]->id, "a");
	assert_string_equal(m->hosts[m->flows[0]->child]->id, "b");
	assert_int_equal(m->flows[0]->meter->bytes, 1000);
	assert_string_equal(m->tasks[0]->url, "http://10.9.9.9/f");
	protobuf_c_message_free_unpacked(&m->base, NULL);
	rpc_stream_free(a);
	rpc_stream_free(b);
}

static void lists_are_cut_at_what_was_asked_for(void **state)
{
	struct fixture *f = *state;
	Skimmer__V1__StatSwarmResponse *m;

	announce(f, "a", false);
	announce(f, "b", false);
	m = swarm(f, 1, 0);
	assert_int_equal(m->host_count, 2);
	assert_int_equal(m->n_hosts, 1);
	assert_int_equal(m->n_tasks, 0);
	protobuf_c_message_free_unpacked(&m->base, NULL);
}

static void a_task_says_who_has_which_piece(void **state)
{
	Skimmer__V1__StatPiecesRequest rq = SKIMMER__V1__STAT_PIECES_REQUEST__INIT;
	Skimmer__V1__StatPiecesResponse *m = NULL;
	struct fixture *f = *state;
	struct rpc_stream *a;

	rq.task_id = (char *)"task";
	rq.peers_max = 5;
	assert_int_equal(ask(f, "/skimmer.v1.Swarm/StatPieces", &rq.base,
			     &skimmer__v1__stat_pieces_response__descriptor, NULL),
			 RPC_NOT_FOUND);
	announce(f, "a", false);
	a = begin(f, "a");
	say_piece(a, "a", 0, PIECE, NULL);
	say_piece(a, "a", 9, PIECE, NULL);
	protobuf_c_message_free_unpacked(&swarm_with(f, 2ull * PIECE, 0)->base, NULL);
	assert_int_equal(ask(f, "/skimmer.v1.Swarm/StatPieces", &rq.base,
			     &skimmer__v1__stat_pieces_response__descriptor, &m),
			 RPC_OK);
	assert_int_equal(m->task->piece_count, 10);
	assert_int_equal(m->n_peers, 1);
	assert_string_equal(m->peers[0]->hostname, "a");
	assert_string_equal(m->peers[0]->state, "BackToSource");
	assert_int_equal(m->peers[0]->pieces.len, 2);
	assert_int_equal(m->peers[0]->pieces.data[0], 1);
	assert_int_equal(m->peers[0]->pieces.data[1], 2);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	rpc_stream_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)
		TEST(what_is_reported_is_told_and_no_more_than_a_piece_at_a_time),
		TEST(lists_are_cut_at_what_was_asked_for),
		TEST(a_task_says_who_has_which_piece),
#undef TEST
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
