/*
 * The daemon's talk with its schedulers (scheduler_client.h): what is not a conversation about one
 * task (schedule.c) and not about who answers (schedulers.c).
 */
#include "daemon/scheduler_client_private.h"

#include "base/mem.h"
#include "proto/message.h"

#include "scheduler_v2.pb-c.h"

#include <errno.h>
#include <google/protobuf/empty.pb-c.h>

#define CLIENT_LOCK_RANK  50
#define LEAVE_MS	  2000
#define STAT_TIMEOUT_MS	  3000
#define DELETE_TIMEOUT_MS 3000
#define STAT_TASK_PATH	  "/scheduler.v2.Scheduler/StatTask"
#define STAT_PEER_PATH	  "/scheduler.v2.Scheduler/StatPeer"
#define DELETE_TASK_PATH  "/scheduler.v2.Scheduler/DeleteTask"
#define ATTEMPTS_MAX	  3

struct scheduler_client *scheduler_client_new(const struct scheduler_client_config *c,
					      struct host *host)
{
	struct scheduler_client *sc = mem_new(struct scheduler_client);

	sc->config = *c;
	sc->host = host;
	sc->schedulers = schedulers_new(host, c->tls, c->announce_interval_ms);
	lock_init(&sc->lock, CLIENT_LOCK_RANK);
	cond_init(&sc->changed);
	list_init(&sc->schedules);
	return sc;
}

void scheduler_client_set(struct scheduler_client *sc, const char *const *addrs, size_t count)
{
	schedulers_set(sc->schedulers, addrs, count);
}

void scheduler_client_leave(struct scheduler_client *sc)
{
	schedulers_leave(sc->schedulers, true, LEAVE_MS);
}

void scheduler_client_delete_host(struct scheduler_client *sc)
{
	schedulers_leave(sc->schedulers, false, LEAVE_MS);
}

unsigned scheduler_client_alive(const struct scheduler_client *sc)
{
	return schedulers_up(sc->schedulers);
}

unsigned scheduler_client_met(const struct scheduler_client *sc)
{
	return schedulers_met(sc->schedulers);
}

void scheduler_client_remember(struct scheduler_client *sc, struct list *schedule)
{
	lock_guard(&sc->lock);
	list_push_back(&sc->schedules, schedule);
	sc->existing++;
}

void scheduler_client_hide(struct scheduler_client *sc, struct list *schedule)
{
	lock_guard(&sc->lock);
	list_remove(schedule);
}

void scheduler_client_forget(struct scheduler_client *sc)
{
	lock_guard(&sc->lock);
	sc->existing--;
	cond_wake_all(&sc->changed);
}

void scheduler_client_free(struct scheduler_client *sc)
{
	if (!sc)
		return;
	lock_take(&sc->lock);
	list_each (link, &sc->schedules)
		schedule_hurry(link);
	while (sc->existing > 0)
		cond_wait(&sc->changed, &sc->lock);
	lock_drop(&sc->lock);
	schedulers_free(sc->schedulers);
	cond_release(&sc->changed);
	lock_release(&sc->lock);
	free(sc);
}

/* A blocking call at the scheduler that keeps the task; one that cannot be reached is replaced by
 * the next. */
static int call(struct scheduler_client *sc, const char *task_id, const char *path,
		const ProtobufCMessage *rq, const ProtobufCMessageDescriptor *type,
		int64_t timeout_ms, ProtobufCMessage **answer_out, struct err *e)
{
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
		struct scheduler *s = schedulers_pick(sc->schedulers, task_id);
		int code, r;

		if (!s)
			break;
		r = rpc_unary(scheduler_channel(s), path, rq, type, timeout_ms, answer_out, &code,
			      e);
		if (r < 0 && code == RPC_UNAVAILABLE)
			scheduler_failed(s, e->text);
		scheduler_unref(s);
		if (r == 0 || code != RPC_UNAVAILABLE)
			return r;
	}
	return err_blame(e, "SK210", err_set(e, ENOENT, "no scheduler answers"));
}

int scheduler_client_find_task(struct scheduler_client *sc, const char *task_id,
			       ProtobufCMessage **out, struct err *e)
{
	Scheduler__V2__StatTaskRequest rq = SCHEDULER__V2__STAT_TASK_REQUEST__INIT;

	rq.host_id = (char *)host_id(sc->host);
	rq.task_id = (char *)task_id;
	return call(sc, task_id, STAT_TASK_PATH, &rq.base, &common__v2__task__descriptor,
		    STAT_TIMEOUT_MS, out, e);
}

int scheduler_client_stat_task(struct scheduler_client *sc, const char *task_id,
			       uint64_t *length_out, uint32_t *piece_count_out, struct err *e)
{
	ProtobufCMessage *msg;
	const Common__V2__Task *task;
	int r = scheduler_client_find_task(sc, task_id, &msg, e);

	if (r < 0)
		return r;
	task = (const Common__V2__Task *)msg;
	*length_out = task->content_length;
	*piece_count_out = task->piece_count;
	/* A length that is not known is -1 there. */
	if (task->content_length > INT64_MAX)
		r = err_set(e, ENOENT, "scheduler does not know the length of task %s", task_id);
	protobuf_c_message_free_unpacked(msg, NULL);
	return r;
}

void scheduler_client_delete_task(struct scheduler_client *sc, const char *task_id)
{
	Scheduler__V2__DeleteTaskRequest rq = SCHEDULER__V2__DELETE_TASK_REQUEST__INIT;
	ProtobufCMessage *msg;
	struct err e;

	rq.host_id = (char *)host_id(sc->host);
	rq.task_id = (char *)task_id;
	if (call(sc, task_id, DELETE_TASK_PATH, &rq.base, &google__protobuf__empty__descriptor,
		 DELETE_TIMEOUT_MS, &msg, &e) == 0)
		protobuf_c_message_free_unpacked(msg, NULL);
}

int scheduler_client_stat_peer(struct scheduler_client *sc, const char *task_id,
			       const char *peer_id, struct err *e)
{
	Scheduler__V2__StatPeerRequest rq = SCHEDULER__V2__STAT_PEER_REQUEST__INIT;
	ProtobufCMessage *msg;
	int r;

	rq.host_id = (char *)host_id(sc->host);
	rq.task_id = (char *)task_id;
	rq.peer_id = (char *)peer_id;
	r = call(sc, task_id, STAT_PEER_PATH, &rq.base, &common__v2__peer__descriptor,
		 STAT_TIMEOUT_MS, &msg, e);
	if (r == 0)
		protobuf_c_message_free_unpacked(msg, NULL);
	return r;
}
