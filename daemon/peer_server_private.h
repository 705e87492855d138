/* What the files of the gRPC doors share: peer_server.c (the servers and their tables),
 * peer_unary.c (questions with one answer), peer_download.c, sync_pieces.c, sync_host.c (streams).
 */
#ifndef DAEMON_PEER_SERVER_PRIVATE_H
#define DAEMON_PEER_SERVER_PRIVATE_H

#include "base/list.h"
#include "base/lock.h"
#include "base/pool.h"
#include "base/timer.h"
#include "daemon/actor.h"
#include "daemon/herald.h"
#include "daemon/peer_server.h"
#include "proto/rpc.h"

#define PEER_SERVER_LOCK_RANK 9
/* Messages that may wait for a slow client before its stream pauses. */
#define PEER_BACKLOG_MAX 256
#define PEER_RETRY_MS	 20 /* when a paused stream looks again */

struct peer_server {
	struct peer_server_config config;
	struct peer_server_parts parts;
	struct rpc_server *upload, *download;
	struct pool *workers; /* may wait for the disk and for schedulers */
	struct pool *tellers; /* never wait: SyncPieces, SyncHost */
	struct herald *herald;
	struct timer host_timer;
	struct lock lock;
	struct cond changed;
	/* all below: lock */
	unsigned calls;	    /* actors that exist */
	unsigned questions; /* unary ones that wait for a worker or are with one */
	struct list hosts;  /* calls of SyncHost, struct host_call */
	bool host_due;	    /* the timer is armed or its job queued */
	bool stopping;
};

/* One more call that lives as an actor; false if there are too many. */
bool peer_server_enter(struct peer_server *s);
void peer_server_leave(struct peer_server *s);
#define PEER_QUESTIONS_MAX 4096

/* Ends a call with what went wrong here. */
void peer_fail(struct rpc_call *call, const struct err *e);

/* Handlers; arg is the server. Those of streams keep their state in the call. */
void peer_stat_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void peer_stat_local_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void peer_tell_digest(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void peer_list_local_tasks(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void peer_delete_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void peer_delete_local_task(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void peer_delete_host(struct rpc_call *call, const ProtobufCMessage *req, void *arg);

void peer_download_remote(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void peer_download_local(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void peer_download_closed(struct rpc_call *call, void *arg);

void sync_pieces(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void sync_pieces_closed(struct rpc_call *call, void *arg);

void tell_room(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void tell_room_ended(struct rpc_call *call, void *arg);

void sync_host(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void sync_host_closed(struct rpc_call *call, void *arg);
void sync_host_fire(struct timer *t);

#endif
