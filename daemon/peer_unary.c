/* The questions with one answer: what is known of a task, here and in the cluster, and the wishes
 * that something be forgotten. They may wait for the disk or a scheduler, so workers answer them.
 */
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "daemon/peer_server_private.h"
#include "daemon/task_message.h"
#include "proto/message.h"

#include <errno.h>
#include <google/protobuf/empty.pb-c.h>
#include <skimmer_v1.pb-c.h>
#include <string.h>

#define LISTED_MAX   50000 /* tasks in one answer: keeps it below what clients accept */
#define TOLD_LEN_MAX (256u << 20)

struct unary;

/* A kind of question, with Dragonfly's names of its counters. */
struct question {
	void (*answer)(struct unary *u);
	struct metric_family asked, failed;
};

#define QUESTION(fn, name, what)                                                                   \
	{                                                                                          \
		.answer = fn,                                                                      \
		.asked = {METRIC_COUNTER, "dragonfly_client_" name "_total",                       \
			  what ", asked by gRPC.", "type"},                                        \
		.failed = {METRIC_COUNTER, "dragonfly_client_" name "_failure_total",              \
			   what ", asked by gRPC in vain.", "type"},                               \
	}
#define STANDARD "0" /* the only type of tasks there is: TaskType as text */

struct unary {
	struct peer_server *server;
	struct rpc_call *call; /* a reference */
	char task_id[STORE_ID_LEN + 1];
	const struct question *question;
};

static void unary_free(struct unary *u)
{
	rpc_call_unref(u->call);
	lock_take(&u->server->lock);
	u->server->questions--;
	lock_drop(&u->server->lock);
	free(u);
}

static void unary_run(void *arg)
{
	struct unary *u = arg;

	metric_add(metric_get(&u->question->asked, STANDARD), 1);
	if (!rpc_call_is_closed(u->call))
		u->question->answer(u);
	unary_free(u);
}

/* False: too many wait already. The workers' queue has room for all that may. */
static bool enter(struct peer_server *s)
{
	lock_guard(&s->lock);
	if (s->questions == PEER_QUESTIONS_MAX)
		return false;
	s->questions++;
	return true;
}

static void unary_fail(struct unary *u, const struct err *e)
{
	metric_add(metric_get(&u->question->failed, STANDARD), 1);
	peer_fail(u->call, e);
}

/* task_id NULL: the question is not about one. */
static void unary_start(struct rpc_call *call, struct peer_server *server, const char *task_id,
			const struct question *question)
{
	struct unary *u;

	if (task_id && !digest_is_hex64(task_id)) {
		rpc_call_finish(call, RPC_INVALID_ARGUMENT, "a task id is 64 hex digits");
		return;
	}
	if (!enter(server)) {
		rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED, "too many questions");
		return;
	}
	u = mem_new(struct unary);
	u->server = server;
	u->call = call;
	u->question = question;
	if (task_id)
		memcpy(u->task_id, task_id, sizeof(u->task_id));
	rpc_call_ref(call);
	if (!pool_run(server->workers, unary_run, u)) { /* stopping */
		rpc_call_finish(call, RPC_UNAVAILABLE, "stopping");
		unary_free(u);
	}
}

static void reply_empty(struct rpc_call *call)
{
	Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;

	rpc_call_reply(call, &empty.base);
}

/* ---- looking */

static void answer_from_store(struct unary *u, struct store_task *t)
{
	const struct store_meta *m = store_task_meta(t);
	Common__V2__Task task = COMMON__V2__TASK__INIT;
	Google__Protobuf__Timestamp created, updated;

	message_timestamp(&created, m->created_ms);
	message_timestamp(&updated, m->accessed_ms);
	task.id = (char *)m->id;
	task.url = m->url ? m->url : (char *)"";
	if (m->digest)
		message_set(&task, digest, COMMON__V2__TASK__DIGEST__DIGEST, m->digest);
	if (m->tag)
		message_set(&task, tag, COMMON__V2__TASK__TAG__TAG, m->tag);
	if (m->application)
		message_set(&task, application, COMMON__V2__TASK__APPLICATION__APPLICATION,
			    m->application);
	task.content_length = m->geometry.content_length;
	task.piece_count = m->geometry.piece_count;
	task.state = (char *)(store_task_is_complete(t) ? "Succeeded" : "Running");
	task.peer_count = 1;
	task.has_available_peer = true;
	task.created_at = &created;
	task.updated_at = &updated;
	rpc_call_reply(u->call, &task.base);
}

/* What the cluster knows; without a scheduler, what is known here. */
static void answer_stat(struct unary *u)
{
	const struct peer_server_parts *p = &u->server->parts;
	struct store_task *t;
	ProtobufCMessage *task;
	struct err e;

	if (p->scheduler && scheduler_client_find_task(p->scheduler, u->task_id, &task, &e) == 0) {
		rpc_call_reply(u->call, task);
		protobuf_c_message_free_unpacked(task, NULL);
		return;
	}
	if (store_find(p->store, u->task_id, &t, &e) < 0) {
		unary_fail(u, &e);
		return;
	}
	answer_from_store(u, t);
	store_task_unref(t);
}

void peer_stat_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	static const struct question question =
		QUESTION(answer_stat, "stat_task", "What the cluster knows of a task");
	const Dfdaemon__V2__StatTaskRequest *rq = (const void *)req;

	unary_start(call, arg, rq->task_id, &question);
}

static void answer_stat_local(struct unary *u)
{
	Dfdaemon__V2__StatLocalTaskResponse *m;
	struct store_task *t;
	struct err e;

	if (store_find(u->server->parts.store, u->task_id, &t, &e) < 0) {
		unary_fail(u, &e);
		return;
	}
	m = task_message_stat(store_task_meta(t));
	rpc_call_reply(u->call, &m->base);
	protobuf_c_message_free_unpacked(&m->base, NULL);
	store_task_unref(t);
}

void peer_stat_local_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	static const struct question question =
		QUESTION(answer_stat_local, "stat_local_task", "What is here of a task");
	const Dfdaemon__V2__StatLocalTaskRequest *rq = (const void *)req;

	unary_start(call, arg, rq->task_id, &question);
}

/* It costs reading and hashing, which strangers may not ask for, and nobody for what has a digest
 * of its own or is large: indexes and records are neither. */
static int digest_of(const struct unary *u, char hex_out[DIGEST_HEX_LEN + 1], struct err *e)
{
	const struct rpc_tls *tls = u->server->config.tls;
	struct store_task *t cleanup(store_task_unref_at) = NULL;
	int r;

	if (rpc_tls_is_off(tls) || !tls->ca)
		return err_set(e, EPERM, "nobody is asked for a certificate here");
	r = store_find(u->server->parts.store, u->task_id, &t, e);
	if (r < 0)
		return r;
	if (!store_task_is_verified(t))
		return err_set(e, ENOENT, "task %s is not believed here yet", u->task_id);
	if (store_task_meta(t)->geometry.content_length > TOLD_LEN_MAX)
		return err_set(e, EINVAL, "task %s is too long", u->task_id);
	return store_task_hash(t, hex_out, e);
}

static void answer_digest(struct unary *u)
{
	Skimmer__V1__TellDigestResponse m = SKIMMER__V1__TELL_DIGEST_RESPONSE__INIT;
	char hex[DIGEST_HEX_LEN + 1];
	struct err e;

	if (digest_of(u, hex, &e) < 0) {
		unary_fail(u, &e);
		return;
	}
	m.sha256 = hex;
	rpc_call_reply(u->call, &m.base);
}

void peer_tell_digest(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	static const struct question question = {
		.answer = answer_digest,
		.asked = {METRIC_COUNTER, "skimmer_tell_digest_total",
			  "What the whole of a task is here, asked by gRPC.", "type"},
		.failed = {METRIC_COUNTER, "skimmer_tell_digest_failure_total",
			   "What the whole of a task is here, asked by gRPC in vain.", "type"}};
	const Skimmer__V1__TellDigestRequest *rq = (const void *)req;

	unary_start(call, arg, rq->task_id, &question);
}

static void list_one(const struct store_meta *m, uint32_t present, void *arg)
{
	Dfdaemon__V2__ListLocalTasksResponse *list = arg;
	size_t n = list->n_tasks;

	(void)present;
	if (n == LISTED_MAX)
		return;
	/* Grown by doubling. */
	if ((n & (n - 1)) == 0)
		list->tasks = mem_realloc(list->tasks, (n ? 2 * n : 1) * sizeof(*list->tasks));
	list->tasks[list->n_tasks++] = task_message_stat(m);
}

static void answer_list(struct unary *u)
{
	Dfdaemon__V2__ListLocalTasksResponse *list = mem_new(Dfdaemon__V2__ListLocalTasksResponse);

	dfdaemon__v2__list_local_tasks_response__init(list);
	store_each(u->server->parts.store, list_one, list);
	rpc_call_reply(u->call, &list->base);
	protobuf_c_message_free_unpacked(&list->base, NULL);
}

void peer_list_local_tasks(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	static const struct question question =
		QUESTION(answer_list, "list_local_tasks", "Which tasks are here");

	(void)req;
	unary_start(call, arg, NULL, &question);
}

/* ---- forgetting */

/* The scheduler is told in either case: it must not send children here any more. */
static void answer_delete(struct unary *u)
{
	struct err e;

	if (task_delete(u->server->parts.tasks, u->task_id, &e) < 0) {
		unary_fail(u, &e);
		return;
	}
	log_info("task deleted", "task=%s by=%s", u->task_id, rpc_call_peer(u->call));
	reply_empty(u->call);
}

void peer_delete_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	static const struct question question =
		QUESTION(answer_delete, "delete_task", "Tasks to be forgotten");
	const Dfdaemon__V2__DeleteTaskRequest *rq = (const void *)req;

	unary_start(call, arg, rq->task_id, &question);
}

void peer_delete_local_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	static const struct question question =
		QUESTION(answer_delete, "delete_local_task", "Tasks to be forgotten here");
	const Dfdaemon__V2__DeleteLocalTaskRequest *rq = (const void *)req;

	unary_start(call, arg, rq->task_id, &question);
}

static void answer_delete_host(struct unary *u)
{
	if (u->server->parts.scheduler)
		scheduler_client_delete_host(u->server->parts.scheduler);
	reply_empty(u->call);
}

void peer_delete_host(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	static const struct question question =
		QUESTION(answer_delete_host, "delete_host", "This host to be forgotten");

	(void)req;
	unary_start(call, arg, NULL, &question);
}
