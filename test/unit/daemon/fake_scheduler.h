/* A scheduler for tests: remembers what it is told and answers as it is set up to. */
#ifndef TEST_UNIT_DAEMON_FAKE_SCHEDULER_H
#define TEST_UNIT_DAEMON_FAKE_SCHEDULER_H

#include "test/unit/await.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"
#include "proto/message.h"
#include "proto/rpc.h"

#include "scheduler_v2.pb-c.h"

#include <google/protobuf/empty.pb-c.h>
#include <poll.h>
#include <string.h>

enum fake_answer {
	FAKE_NORMAL, /* two parents, and this host itself, and one without an address */
	FAKE_BACK_TO_SOURCE,
	FAKE_EMPTY,
	FAKE_METADATA,
	FAKE_SILENCE,
	FAKE_NO_HOST,	/* NOT_FOUND until the host is announced (again) */
	FAKE_NO_TASK,	/* NOT_FOUND */
	FAKE_FORBIDDEN, /* FAILED_PRECONDITION */
	FAKE_UNAVAILABLE,
	FAKE_END, /* closes with OK at once */
};

#define FAKE_REQUESTS_MAX 64

struct fake_scheduler {
	struct rpc_server *server;
	char addr[64];
	struct lock lock;
	/* all below: lock */
	enum fake_answer answer;
	bool forget_host; /* until announced once more */
	unsigned announced, deleted, tasks_deleted, closed;
	char host_id[256];
	int64_t interval_ms;
	bool announced_valid; /* what the validators want */
	Scheduler__V2__AnnouncePeerRequest *requests[FAKE_REQUESTS_MAX]; /* copies */
	unsigned request_count;
};

static inline void fake_announce_host(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__AnnounceHostRequest *rq = (const void *)req;
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct fake_scheduler *f = arg;

	lock_take(&f->lock);
	f->announced++;
	f->forget_host = false;
	snprintf(f->host_id, sizeof(f->host_id), "%s", rq->host->id);
	f->interval_ms = message_duration_ms(rq->interval);
	f->announced_valid = rq->host->hostname[0] && rq->host->ip[0] && rq->host->port >= 1024 &&
			     rq->host->download_port >= 1024;
	lock_drop(&f->lock);
	rpc_call_reply(call, &empty.base);
}

static inline void fake_delete_host(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct fake_scheduler *f = arg;

	(void)req;
	lock_take(&f->lock);
	f->deleted++;
	lock_drop(&f->lock);
	rpc_call_reply(call, &empty.base);
}

static inline void fake_delete_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;
	struct fake_scheduler *f = arg;

	(void)req;
	lock_take(&f->lock);
	f->tasks_deleted++;
	lock_drop(&f->lock);
	rpc_call_reply(call, &empty.base);
}

static inline void fake_stat_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__StatTaskRequest *rq = (const void *)req;
	Common__V2__Task task = COMMON__V2__TASK__INIT;

	(void)arg;
	if (rq->task_id[0] == '0') {
		rpc_call_finish(call, RPC_NOT_FOUND, "task not found");
		return;
	}
	task.id = rq->task_id;
	task.content_length = rq->task_id[0] == 'f' ? UINT64_MAX : 12345678;
	task.piece_count = 3;
	rpc_call_reply(call, &task.base);
}

static inline void fake_send_parents(struct rpc_call *call, const char *own_host_id)
{
	Scheduler__V2__AnnouncePeerResponse m = SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__INIT;
	Scheduler__V2__NormalTaskResponse normal = SCHEDULER__V2__NORMAL_TASK_RESPONSE__INIT;
	Common__V2__Peer peers[4], *list[4];
	Common__V2__Host hosts[4];

	for (unsigned i = 0; i < 4; i++) {
		hosts[i] = (Common__V2__Host)COMMON__V2__HOST__INIT;
		peers[i] = (Common__V2__Peer)COMMON__V2__PEER__INIT;
		list[i] = &peers[i];
		peers[i].host = &hosts[i];
		peers[i].id = (char *)"parent-peer";
		hosts[i].id = (char *)"parent-host";
		hosts[i].ip = (char *)"10.0.0.7";
		hosts[i].port = 4000;
	}
	hosts[1].id = (char *)own_host_id;
	hosts[2].ip = (char *)"no address";
	hosts[3].type = 1;
	hosts[3].ip = (char *)"fd00::1";
	normal.candidate_parents = list;
	normal.n_candidate_parents = 4;
	m.response_case = SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_NORMAL_TASK_RESPONSE;
	m.normal_task_response = &normal;
	rpc_call_send(call, &m.base);
}

static inline void fake_answer_register(struct rpc_call *call, enum fake_answer answer,
					const char *host)
{
	Scheduler__V2__AnnouncePeerResponse m = SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__INIT;
	Scheduler__V2__NeedBackToSourceResponse source =
		SCHEDULER__V2__NEED_BACK_TO_SOURCE_RESPONSE__INIT;
	Scheduler__V2__EmptyTaskResponse empty = SCHEDULER__V2__EMPTY_TASK_RESPONSE__INIT;
	Scheduler__V2__MetadataOnlyResponse metadata = SCHEDULER__V2__METADATA_ONLY_RESPONSE__INIT;

	switch (answer) {
	case FAKE_NORMAL:
		fake_send_parents(call, host);
		return;
	case FAKE_BACK_TO_SOURCE:
		message_set(&source, description,
			    SCHEDULER__V2__NEED_BACK_TO_SOURCE_RESPONSE__DESCRIPTION__DESCRIPTION,
			    (char *)"nobody has it");
		m.response_case =
			SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_NEED_BACK_TO_SOURCE_RESPONSE;
		m.need_back_to_source_response = &source;
		break;
	case FAKE_EMPTY:
		m.response_case =
			SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_EMPTY_TASK_RESPONSE;
		m.empty_task_response = &empty;
		break;
	case FAKE_METADATA:
		m.response_case =
			SCHEDULER__V2__ANNOUNCE_PEER_RESPONSE__RESPONSE_METADATA_ONLY_RESPONSE;
		m.metadata_only_response = &metadata;
		break;
	case FAKE_NO_HOST:
		rpc_call_finish(call, RPC_NOT_FOUND, "host 1.2.3.4-x not found");
		return;
	case FAKE_NO_TASK:
		rpc_call_finish(call, RPC_NOT_FOUND, "no seed and no peer has it");
		return;
	case FAKE_FORBIDDEN:
		rpc_call_finish(call, RPC_FAILED_PRECONDITION, "download is forbidden");
		return;
	case FAKE_UNAVAILABLE:
		rpc_call_finish(call, RPC_UNAVAILABLE, "shutting down");
		return;
	case FAKE_END:
		rpc_call_finish(call, RPC_OK, NULL);
		return;
	default:
		return;
	}
	rpc_call_send(call, &m.base);
}

static inline void fake_announce_peer(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Scheduler__V2__AnnouncePeerRequest *rq = (const void *)req;
	struct fake_scheduler *f = arg;
	size_t len = protobuf_c_message_get_packed_size(req);
	cleanup(free_at) uint8_t *bytes = mem_alloc(len);
	enum fake_answer answer;
	bool registers = rq->request_case ==
			 SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_REGISTER_PEER_REQUEST;

	protobuf_c_message_pack(req, bytes);
	lock_take(&f->lock);
	if (f->request_count < FAKE_REQUESTS_MAX)
		f->requests[f->request_count++] =
			scheduler__v2__announce_peer_request__unpack(NULL, len, bytes);
	answer = f->answer;
	if (answer == FAKE_NO_HOST && !f->forget_host)
		answer = FAKE_NORMAL;
	lock_drop(&f->lock);
	switch (rq->request_case) {
	case SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_REGISTER_PEER_REQUEST:
	case SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_RESCHEDULE_PEER_REQUEST:
		fake_answer_register(call, registers ? answer : FAKE_BACK_TO_SOURCE, rq->host_id);
		break;
	case SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_DOWNLOAD_PEER_FINISHED_REQUEST:
	case SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_DOWNLOAD_PEER_FAILED_REQUEST:
		rpc_call_finish(call, RPC_OK, NULL);
		break;
	default:
		break;
	}
}

static inline void fake_half_closed(struct rpc_call *call, void *arg)
{
	(void)arg;
	rpc_call_finish(call, RPC_OK, NULL);
}

static inline void fake_closed(struct rpc_call *call, void *arg)
{
	struct fake_scheduler *f = arg;

	(void)call;
	lock_guard(&f->lock);
	f->closed++;
}

/* addr NULL: a port that the system picks. */
static inline void fake_start(struct fake_scheduler *f, const char *addr, enum fake_answer answer)
{
	static const struct rpc_method methods[] = {
		{.path = "/scheduler.v2.Scheduler/AnnounceHost",
		 .request = &scheduler__v2__announce_host_request__descriptor,
		 .message = fake_announce_host},
		{.path = "/scheduler.v2.Scheduler/DeleteHost",
		 .request = &scheduler__v2__delete_host_request__descriptor,
		 .message = fake_delete_host},
		{.path = "/scheduler.v2.Scheduler/StatTask",
		 .request = &scheduler__v2__stat_task_request__descriptor,
		 .message = fake_stat_task},
		{.path = "/scheduler.v2.Scheduler/DeleteTask",
		 .request = &scheduler__v2__delete_task_request__descriptor,
		 .message = fake_delete_task},
		{.path = "/scheduler.v2.Scheduler/AnnouncePeer",
		 .request = &scheduler__v2__announce_peer_request__descriptor,
		 .client_streams = true,
		 .message = fake_announce_peer,
		 .half_closed = fake_half_closed,
		 .closed = fake_closed},
		{.path = NULL},
	};
	static const struct rpc_method *const services[] = {methods, NULL};
	void *args[] = {f};
	/* It may be the one that the same struct had before. */
	cleanup(free_at) char *at = mem_strdup(addr ? addr : "127.0.0.1:0");
	const char *listen[] = {at, NULL};
	struct rpc_server_config c = {.listen = listen, .services = services, .service_args = args};
	struct err e = {0};

	memset(f, 0, sizeof(*f));
	lock_init(&f->lock, 10);
	f->answer = answer;
	assert_int_equal(rpc_server_new(&c, &f->server, &e), 0);
	snprintf(f->addr, sizeof(f->addr), "127.0.0.1:%u", rpc_server_port(f->server));
}

/* Stops serving; what was told can still be looked at. */
static inline void fake_stop(struct fake_scheduler *f)
{
	rpc_server_free(f->server, 0);
	f->server = NULL;
}

static inline void fake_release(struct fake_scheduler *f)
{
	if (f->server)
		fake_stop(f);
	for (unsigned i = 0; i < f->request_count; i++)
		scheduler__v2__announce_peer_request__free_unpacked(f->requests[i], NULL);
	lock_release(&f->lock);
}

static inline unsigned fake_count(struct fake_scheduler *f, const unsigned *counter)
{
	lock_guard(&f->lock);
	return *counter;
}

#endif
