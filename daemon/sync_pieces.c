/*
 * SyncPieces: tells a child which of the pieces it is interested in are to be had here, those that
 * are and those that come, each when the herald says so (herald.h), until all are told, the task
 * fails or the child leaves. Only pieces that the piece server can serve are told: verified, and in
 * the store; to children that take what is ours, also pieces of which a part is. A host that does
 * not share tells nothing.
 *
 * The actor's references: the call's until it is closed, and the open's while it waits.
 */
#include "base/mem.h"
#include "daemon/peer_server_private.h"
#include "proto/message.h"

#include "dfdaemon_v2.pb-c.h"
#include "skimmer_v1.pb-c.h"

#include <errno.h>

struct sync {
	struct actor actor;
	struct peer_server *server;
	struct rpc_call *call; /* a reference */
	struct task_open open;
	struct timer retry;
	atomic_bool opened, closed;
	/* set before opened: */
	struct task *task;
	struct err open_e;
	char *host_id;	 /* constant */
	bool is_skimmer; /* constant: the child takes what is ours */
	/* the actor's alone */
	uint32_t *interested;
	size_t interested_count;
	struct piece_feed feed;
	struct follower follower;
	bool paced, feeding, failed_before, ended;
};

static struct sync *sync_of(struct actor *a)
{
	return container_of(a, struct sync, actor);
}

static void sync_free(struct actor *a)
{
	struct sync *s = sync_of(a);
	struct peer_server *server = s->server;

	rpc_call_unref(s->call);
	free(s->interested);
	free(s->host_id);
	free(s);
	peer_server_leave(server);
}

static void sync_wake(void *arg)
{
	struct sync *s = arg;

	actor_wake(&s->actor);
}

static void sync_changed(void *arg)
{
	struct sync *s = arg;

	herald_wake(s->server->herald);
	actor_wake(&s->actor);
}

static void sync_retry(struct timer *t)
{
	sync_wake(t->arg);
}

static void sync_opened(struct task_open *o, struct task *t, const struct err *e)
{
	struct sync *s = o->arg;

	s->task = t;
	if (e)
		s->open_e = *e;
	atomic_store(&s->opened, true);
	actor_wake(&s->actor);
	actor_unref(&s->actor);
}

static bool tell_piece(struct sync *s, uint32_t number, uint64_t length, bool later)
{
	Dfdaemon__V2__SyncPiecesResponse m = DFDAEMON__V2__SYNC_PIECES_RESPONSE__INIT;
	const struct host_config *c = host_config(s->server->parts.host);
	uint16_t port = s->server->config.piece_port;

	m.number = number;
	m.offset = geometry_offset(&task_meta(s->task)->geometry, number);
	m.length = length;
	m.ip = (char *)c->ip;
	m.later = later;
	m.by_blocks = s->is_skimmer;
	message_set(&m, tcp_port, DFDAEMON__V2__SYNC_PIECES_RESPONSE__TCP_PORT__TCP_PORT,
		    port ? port : c->piece_port);
	return rpc_call_send(s->call, &m.base);
}

/* False: the child reads too slowly, look again later. */
static bool tell_ready(struct sync *s)
{
	const struct geometry *g = &task_meta(s->task)->geometry;
	uint32_t number;

	while (rpc_call_backlog(s->call) < PEER_BACKLOG_MAX) {
		if (!herald_take(s->server->herald, &s->follower, &number))
			return true;
		(void)tell_piece(s, number, geometry_length(g, number), false);
	}
	return false;
}

static void sync_end(struct sync *s, enum rpc_code code, const char *text)
{
	s->ended = true;
	rpc_call_finish(s->call, code, text);
}

/* Lets go of the task. */
static void sync_stop(struct sync *s)
{
	s->ended = true;
	if (s->feeding) {
		herald_leave(s->server->herald, &s->follower);
		piece_feed_close(&s->feed);
	}
	s->feeding = false;
	if (s->task)
		task_unref(take_ptr(&s->task));
}

/* All that is here, so that readers need not wait until it is their child's turn. */
static void tell_known(struct sync *s)
{
	struct store_piece piece;

	for (size_t i = 0; i < s->interested_count; i++)
		if (task_piece_info(s->task, s->interested[i], &piece))
			(void)tell_piece(s, s->interested[i], piece.length, true);
}

static void sync_begin(struct sync *s)
{
	struct task_progress progress;

	piece_feed_open(&s->feed, s->task, s->interested, s->interested_count, 0, 0, sync_changed,
			s);
	if (s->is_skimmer)
		piece_feed_take_coming(&s->feed);
	s->follower = (struct follower){.actor = &s->actor,
					.feed = &s->feed,
					.paced = s->paced,
					.host_id = s->host_id,
					.urgent = s->interested_count <= HERALD_URGENT_MAX};
	if (s->follower.urgent)
		task_hurry(s->task, s->interested, s->interested_count);
	if (s->paced)
		tell_known(s);
	free(take_ptr(&s->interested));
	herald_join(s->server->herald, &s->follower);
	s->feeding = true;
	task_progress(s->task, &progress);
	s->failed_before = progress.failed;
}

static void sync_follow(struct sync *s)
{
	struct err e = {0};

	if (!s->feeding)
		sync_begin(s);
	if (!tell_ready(s))
		timer_arm(&s->retry, PEER_RETRY_MS);
	else if (herald_left(s->server->herald, &s->follower) == 0)
		sync_end(s, RPC_OK, NULL);
	else if (piece_feed_failed(&s->feed, &e) || s->failed_before)
		sync_end(s, RPC_INTERNAL, e.code ? e.text : "the task has failed here");
}

/* The call is over. An open that cannot be taken back any more wakes the actor once more. */
static void sync_close(struct sync *s)
{
	timer_cancel(&s->retry);
	if (!atomic_load(&s->opened) && task_open_cancel(&s->open)) {
		atomic_store(&s->opened, true);
		actor_unref(&s->actor);
	}
	if (atomic_load(&s->opened))
		sync_stop(s);
}

static void sync_run(struct actor *a)
{
	struct sync *s = sync_of(a);

	if (atomic_load(&s->closed)) {
		sync_close(s);
		return;
	}
	if (!atomic_load(&s->opened) || s->ended)
		return;
	if (s->open_e.code != 0)
		sync_end(s, RPC_NOT_FOUND, "task not found");
	else
		sync_follow(s);
	if (s->ended)
		sync_stop(s);
}

void sync_pieces(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Dfdaemon__V2__SyncPiecesRequest *rq = (const void *)req;
	struct peer_server *server = arg;
	struct task_request open = {.id = rq->task_id, .local_only = true};
	struct sync *s;

	if (host_config(server->parts.host)->disable_shared) {
		rpc_call_finish(call, RPC_FAILED_PRECONDITION, "this host does not serve others");
		return;
	}
	if (!peer_server_enter(server)) {
		rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED, "too many children");
		return;
	}
	s = mem_new(struct sync);
	s->server = server;
	s->call = call;
	rpc_call_ref(call);
	s->actor = (struct actor){.pool = server->tellers, .run = sync_run, .free = sync_free};
	actor_init(&s->actor);
	s->retry = (struct timer){.fire = sync_retry, .arg = s};
	s->host_id = mem_strdup(rq->host_id);
	s->is_skimmer = rq->takes_later;
	/* A short list is of what readers wait for: all of it goes out as soon as may be. */
	s->paced = rq->takes_later && rq->n_interested_piece_numbers > HERALD_URGENT_MAX;
	s->interested_count = rq->n_interested_piece_numbers;
	s->interested =
		mem_dup(rq->interested_piece_numbers, s->interested_count * sizeof(*s->interested));
	s->open = (struct task_open){.done = sync_opened, .arg = s};
	rpc_call_set_user(call, s);
	actor_ref(&s->actor);
	task_open(server->parts.tasks, &open, &s->open);
}

void sync_pieces_closed(struct rpc_call *call, void *arg)
{
	struct sync *s = rpc_call_user(call);

	(void)arg;
	if (!s)
		return;
	atomic_store(&s->closed, true);
	actor_wake(&s->actor);
	actor_unref(&s->actor);
}

void tell_room(struct rpc_call *call, const ProtobufCMessage *req, void *arg)
{
	const Skimmer__V1__TellRoomRequest *rq = (const void *)req;
	struct peer_server *server = arg;

	(void)call;
	herald_room(server->herald, rq->task_id, rq->host_id, rq->full);
}

void tell_room_ended(struct rpc_call *call, void *arg)
{
	Skimmer__V1__TellRoomResponse m = SKIMMER__V1__TELL_ROOM_RESPONSE__INIT;

	(void)arg;
	rpc_call_reply(call, &m.base);
}
