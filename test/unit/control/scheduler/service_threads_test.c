/* Many peers of one task, over connections that several threads of the server serve. */
#include "control/scheduler/service.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "proto/message.h"
#include "scheduler_v2.pb-c.h"
#include "test/state_config.h"
#include "test/unit/rpc_group.h"
#include "test/unit/unit.h"

#include <string.h>

#define THREADS	    4
#define CONNECTIONS 8
#define STREAMS	    6  /* of each connection */
#define ROUNDS	    10 /* each asks again so often */
#define WAIT_MS	    30000
#define SAYS(what)  SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_##what##_REQUEST

struct crowd_peer {
	struct rpc_stream *stream;
	struct lock lock;
	struct cond changed;
	/* all below: lock */
	unsigned parents; /* answers that named some */
	bool told_source, closed;
	int code;
	char host[32], id[32];
};

struct fixture {
	struct service *service;
	struct rpc_server *server;
	struct rpc_channel *channels[CONNECTIONS];
	struct crowd_peer peers[CONNECTIONS * STREAMS];
};

static void on_message(struct rpc_stream *s, const ProtobufCMessage *msg, void *arg)
{
	const Scheduler__V2__AnnouncePeerResponse *m = (const void *)msg;
	struct crowd_peer *p = arg;

	(void)s;
	lock_guard(&p->lock);
	if (m->response_case ==
	    SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_NEED_BACK_TO_SOURCE_RESPONSE)
		p->told_source = true;
	else
		p->parents += m->normal_task_response->n_candidate_parents > 0;
	cond_wake_all(&p->changed);
}

static void on_closed(struct rpc_stream *s, enum rpc_code code, const char *text,
		      const void *details, size_t len, void *arg)
{
	struct crowd_peer *p = arg;

	(void)s, (void)text, (void)details, (void)len;
	lock_guard(&p->lock);
	p->closed = true;
	p->code = (int)code;
	cond_wake_all(&p->changed);
}

static const struct rpc_stream_ops ops = {
	.response = &scheduler__v2__announce_peer_response__descriptor,
	.message = on_message,
	.closed = on_closed,
};

static void announce(struct fixture *f, unsigned no)
{
	Scheduler__V2__AnnounceHostRequest rq = SCHEDULER__V2__ANNOUNCE_HOST_REQUEST__INIT;
	Common__V2__Host h = COMMON__V2__HOST__INIT;
	Common__V2__Build build = COMMON__V2__BUILD__INIT;
	ProtobufCMessage *reply = NULL;
	struct err e = {0};

	build.git_version = (char *)"skimmer-test"; /* so that they are introduced */
	h.id = f->peers[no].host;
	h.hostname = h.id;
	h.ip = (char *)"127.0.0.1";
	h.port = 4000;
	h.build = &build;
	rq.host = &h;
	assert_int_equal(rpc_unary(f->channels[0], "/scheduler.v2.Scheduler/AnnounceHost", &rq.base,
				   &google__protobuf__empty__descriptor, WAIT_MS, &reply, NULL, &e),
			 0);
	protobuf_c_message_free_unpacked(reply, NULL);
}

static int start(void **state)
{
	const struct state_config config = state_config_usual();
	const struct rpc_method *const services[] = {service_methods, NULL};
	static const char *const listen[] = {"0.0.0.0:0", NULL};
	struct fixture *f = mem_new(struct fixture);
	void *args[] = {NULL};
	struct err e = {0};

	f->service = args[0] = service_new(&config, NULL, NULL);
	const struct rpc_server_config c = {
		.listen = listen, .services = services, .service_args = args, .threads = THREADS};
	assert_int_equal(rpc_server_new(&c, &f->server, &e), 0);
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		char target[32];

		snprintf(target, sizeof(target), "127.0.0.%u:%u", i + 1,
			 rpc_server_port(f->server));
		f->channels[i] = rpc_channel_new(target, NULL);
	}
	for (unsigned i = 0; i < CONNECTIONS * STREAMS; i++) {
		struct crowd_peer *p = &f->peers[i];

		lock_init(&p->lock, 1);
		cond_init(&p->changed);
		snprintf(p->host, sizeof(p->host), "host-%u", i);
		snprintf(p->id, sizeof(p->id), "peer-%u", i);
		announce(f, i);
		p->stream = rpc_stream_new(f->channels[i % CONNECTIONS],
					   "/scheduler.v2.Scheduler/AnnouncePeer", &ops, p, 0);
	}
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < CONNECTIONS * STREAMS; i++) {
		rpc_stream_free(f->peers[i].stream);
		cond_release(&f->peers[i].changed);
		lock_release(&f->peers[i].lock);
	}
	for (unsigned i = 0; i < CONNECTIONS; i++)
		rpc_channel_free(f->channels[i]);
	rpc_server_free(f->server, 1000);
	service_free(f->service);
	free(f);
	return 0;
}

static void say(struct crowd_peer *p, Scheduler__V2__AnnouncePeerRequest *rq)
{
	rq->host_id = p->host;
	rq->peer_id = p->id;
	rq->task_id = (char *)"task";
	assert_true(rpc_stream_send(p->stream, &rq->base));
}

static void say_register(struct crowd_peer *p, bool source)
{
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__RegisterPeerRequest r = SCHEDULER__V2__REGISTER_PEER_REQUEST__INIT;
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;

	d.url = (char *)"http://127.0.0.1/blob";
	d.need_back_to_source = source;
	message_set(&d, actual_content_length,
		    COMMON__V2__DOWNLOAD__ACTUAL_CONTENT_LENGTH__ACTUAL_CONTENT_LENGTH,
		    UINT64_C(400) << 20);
	r.download = &d;
	rq.request_case = SAYS(REGISTER_PEER);
	rq.register_peer_request = &r;
	say(p, &rq);
}

static void say_source_started(struct crowd_peer *p)
{
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPeerBackToSourceStartedRequest r =
		SCHEDULER__V2__DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED_REQUEST__INIT;

	rq.request_case = SAYS(DOWNLOAD_PEER_BACK_TO_SOURCE_STARTED);
	rq.download_peer_back_to_source_started_request = &r;
	say(p, &rq);
}

static void say_again(struct crowd_peer *p)
{
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__ReschedulePeerRequest r = SCHEDULER__V2__RESCHEDULE_PEER_REQUEST__INIT;

	rq.request_case = SAYS(RESCHEDULE_PEER);
	rq.reschedule_peer_request = &r;
	say(p, &rq);
}

static void say_finished(struct crowd_peer *p)
{
	Scheduler__V2__AnnouncePeerRequest rq = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPeerFinishedRequest r =
		SCHEDULER__V2__DOWNLOAD_PEER_FINISHED_REQUEST__INIT;

	rq.request_case = SAYS(DOWNLOAD_PEER_FINISHED);
	rq.download_peer_finished_request = &r;
	say(p, &rq);
}

static void wait_until(struct crowd_peer *p, bool (*what)(const struct crowd_peer *, unsigned),
		       unsigned arg)
{
	int64_t deadline = clock_ms() + WAIT_MS;
	bool in_time = true, well;

	lock_take(&p->lock);
	while (!what(p, arg) && in_time)
		in_time = cond_wait_until(&p->changed, &p->lock, deadline);
	well = what(p, arg);
	lock_drop(&p->lock);
	assert_true(well);
}

static bool was_sent_to_source(const struct crowd_peer *p, unsigned arg)
{
	(void)arg;
	return p->told_source;
}

static bool has_answers(const struct crowd_peer *p, unsigned count)
{
	return p->parents >= count;
}

static bool ended_well(const struct crowd_peer *p, unsigned arg)
{
	(void)arg;
	return p->closed && p->code == RPC_OK;
}

/* All ask at the same time, again and again, and are told of each other in between. */
static void each_of_a_crowd_is_answered_whichever_thread_serves_it(void **state)
{
	struct fixture *f = *state;

	say_register(&f->peers[0], true);
	wait_until(&f->peers[0], was_sent_to_source, 0);
	say_source_started(&f->peers[0]);
	for (unsigned i = 1; i < CONNECTIONS * STREAMS; i++)
		say_register(&f->peers[i], false);
	for (unsigned round = 1; round <= ROUNDS; round++) {
		for (unsigned i = 1; i < CONNECTIONS * STREAMS; i++)
			wait_until(&f->peers[i], has_answers, round);
		for (unsigned i = 1; i < CONNECTIONS * STREAMS; i++)
			say_again(&f->peers[i]);
	}
	for (unsigned i = 1; i < CONNECTIONS * STREAMS; i++)
		say_finished(&f->peers[i]);
	for (unsigned i = 1; i < CONNECTIONS * STREAMS; i++)
		wait_until(&f->peers[i], ended_well, 0);
}

/* Streams break while others are being told of the peers that go. */
static void a_crowd_that_leaves_at_once_leaves_the_rest_in_peace(void **state)
{
	struct fixture *f = *state;

	say_register(&f->peers[0], true);
	wait_until(&f->peers[0], was_sent_to_source, 0);
	say_source_started(&f->peers[0]);
	for (unsigned i = 1; i < CONNECTIONS * STREAMS; i++)
		say_register(&f->peers[i], false);
	for (unsigned i = 1; i < CONNECTIONS * STREAMS; i++)
		wait_until(&f->peers[i], has_answers, 1);
	for (unsigned i = 1; i < CONNECTIONS * STREAMS; i++) {
		if (i % 2)
			rpc_stream_cancel(f->peers[i].stream);
		else
			say_again(&f->peers[i]);
	}
	for (unsigned i = 2; i < CONNECTIONS * STREAMS; i += 2)
		wait_until(&f->peers[i], has_answers, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			each_of_a_crowd_is_answered_whichever_thread_serves_it, start, stop),
		cmocka_unit_test_setup_teardown(
			a_crowd_that_leaves_at_once_leaves_the_rest_in_peace, start, stop),
	};

	return cmocka_run_group_tests(tests, rpc_group_setup, rpc_group_teardown);
}
