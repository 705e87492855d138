/*
 * A parent as a child sees it: two streams on a shared channel. What SyncPieces tells is passed on;
 * what SyncHost tells is the idle bandwidth, and a parent that does not serve it is none the worse.
 * parent_free() mutes both and waits for a callback that is running (rpc_stream_free() does).
 */
#include "daemon/parent.h"

#include "base/mem.h"
#include "base/net.h"
#include "daemon/channels.h"
#include "daemon/host_message.h"
#include "proto/message.h"

#include "dfdaemon_v2.pb-c.h"
#include "skimmer_v1.pb-c.h"

#include <assert.h>
#include <stdatomic.h>

#define SYNC_PIECES_PATH "/dfdaemon.v2.DfdaemonUpload/SyncPieces"
#define SYNC_HOST_PATH	 "/dfdaemon.v2.DfdaemonUpload/SyncHost"
#define TELL_ROOM_PATH	 "/skimmer.v1.Feeding/TellRoom"

struct parent {
	struct parent_info info;
	const struct parent_ops *ops;
	void *arg;
	struct rpc_channel *channel;
	struct rpc_stream *pieces, *host;
	struct rpc_stream *sooner; /* NULL = nothing was asked for again */
	struct rpc_stream *room;   /* NULL = it was never told */
	struct net_addr fallback;  /* host.ip:host.port, as Dragonfly takes it */
	atomic_bool muted;
};

/* Where a piece is to be had. */
static struct net_addr piece_addr(const struct parent *p,
				  const Dfdaemon__V2__SyncPiecesResponse *answer)
{
	int32_t port = message_number(answer, tcp_port, 0);
	struct net_addr addr;

	if (port > 0 && port <= UINT16_MAX && net_addr_parse(answer->ip, (uint16_t)port, &addr))
		return addr;
	return p->fallback;
}

static void pieces_message(struct rpc_stream *stream, const ProtobufCMessage *msg, void *arg)
{
	const Dfdaemon__V2__SyncPiecesResponse *answer = (const void *)msg;
	struct parent *p = arg;
	const struct parent_piece piece = {.number = answer->number,
					   .offset = answer->offset,
					   .length = answer->length,
					   .later = answer->later,
					   .by_blocks = answer->by_blocks,
					   .addr = piece_addr(p, answer)};

	(void)stream;
	if (!atomic_load(&p->muted))
		p->ops->piece(p, &piece, p->arg);
}

static void pieces_closed(struct rpc_stream *stream, enum rpc_code code, const char *text,
			  const void *details, size_t details_len, void *arg)
{
	struct parent *p = arg;
	struct err e;

	(void)stream;
	(void)details;
	(void)details_len;
	if (atomic_load(&p->muted))
		return;
	if (code == RPC_OK) {
		p->ops->closed(p, NULL, p->arg);
		return;
	}
	(void)err_set(&e, rpc_code_to_errno((int)code), "parent %s: %s",
		      rpc_channel_target(p->channel), text ? text : "");
	p->ops->closed(p, &e, p->arg);
}

static void host_message(struct rpc_stream *stream, const ProtobufCMessage *msg, void *arg)
{
	struct parent *p = arg;
	uint64_t tx, tx_max;

	(void)stream;
	host_message_link((const Common__V2__Host *)msg, &tx, &tx_max);
	if (!atomic_load(&p->muted))
		p->ops->bandwidth(p, tx, tx_max, p->arg);
}

static void closed_unheard(struct rpc_stream *stream, enum rpc_code code, const char *text,
			   const void *details, size_t details_len, void *arg)
{
	(void)stream;
	(void)code;
	(void)text;
	(void)details;
	(void)details_len;
	(void)arg;
}

static const struct rpc_stream_ops pieces_ops = {
	.response = &dfdaemon__v2__sync_pieces_response__descriptor,
	.message = pieces_message,
	.closed = pieces_closed,
};

/* Its end says nothing of the parent. */
static const struct rpc_stream_ops sooner_ops = {
	.response = &dfdaemon__v2__sync_pieces_response__descriptor,
	.message = pieces_message,
	.closed = closed_unheard,
};

static const struct rpc_stream_ops host_ops = {
	.response = &common__v2__host__descriptor,
	.message = host_message,
	.closed = closed_unheard,
};

static const struct rpc_stream_ops room_ops = {
	.response = &skimmer__v1__tell_room_response__descriptor,
	.closed = closed_unheard,
};

static struct rpc_stream *open_pieces(struct parent *p, const struct rpc_stream_ops *ops,
				      const char *task_id, const char *own_host_id,
				      const uint32_t *interested, size_t interested_count)
{
	struct rpc_stream *stream;
	Dfdaemon__V2__SyncPiecesRequest rq = DFDAEMON__V2__SYNC_PIECES_REQUEST__INIT;

	rq.host_id = (char *)own_host_id;
	rq.task_id = (char *)task_id;
	rq.interested_piece_numbers = (uint32_t *)interested;
	rq.n_interested_piece_numbers = interested_count;
	rq.takes_later = true;
	stream = rpc_stream_new(p->channel, SYNC_PIECES_PATH, ops, p, 0);
	(void)rpc_stream_send(stream, &rq.base);
	rpc_stream_half_close(stream);
	return stream;
}

static void open_host(struct parent *p, const char *own_host_id, const char *own_peer_id)
{
	Dfdaemon__V2__SyncHostRequest rq = DFDAEMON__V2__SYNC_HOST_REQUEST__INIT;

	rq.host_id = (char *)own_host_id;
	rq.peer_id = (char *)own_peer_id;
	p->host = rpc_stream_new(p->channel, SYNC_HOST_PATH, &host_ops, p, 0);
	(void)rpc_stream_send(p->host, &rq.base);
	rpc_stream_half_close(p->host);
}

struct parent *parent_open(const struct parent_info *info, const char *task_id,
			   const char *own_host_id, const char *own_peer_id,
			   const uint32_t *interested, size_t interested_count,
			   const struct parent_ops *ops, void *arg)
{
	struct parent *p = mem_new(struct parent);
	char target[80];

	assert(interested_count > 0);
	p->info = *info;
	p->ops = ops;
	p->arg = arg;
	net_join(info->ip, info->port, target, sizeof(target));
	(void)net_addr_parse(info->ip, info->port, &p->fallback);
	p->channel = channels_take(target);
	open_host(p, own_host_id, own_peer_id);
	p->pieces = open_pieces(p, &pieces_ops, task_id, own_host_id, interested, interested_count);
	return p;
}

const struct parent_info *parent_info(const struct parent *p)
{
	return &p->info;
}

void parent_ask_sooner(struct parent *p, const char *task_id, const char *own_host_id,
		       const uint32_t *numbers, size_t count)
{
	if (p->sooner)
		rpc_stream_free(p->sooner);
	p->sooner = open_pieces(p, &sooner_ops, task_id, own_host_id, numbers, count);
}

void parent_tell_room(struct parent *p, const char *task_id, const char *own_host_id, bool full)
{
	Skimmer__V1__TellRoomRequest rq = SKIMMER__V1__TELL_ROOM_REQUEST__INIT;

	rq.task_id = (char *)task_id;
	rq.host_id = (char *)own_host_id;
	rq.full = full;
	if (!p->room)
		p->room = rpc_stream_new(p->channel, TELL_ROOM_PATH, &room_ops, p, 0);
	(void)rpc_stream_send(p->room, &rq.base);
}

void parent_free(struct parent *p)
{
	if (!p)
		return;
	atomic_store(&p->muted, true);
	rpc_stream_free(p->pieces);
	if (p->sooner)
		rpc_stream_free(p->sooner);
	if (p->room)
		rpc_stream_free(p->room);
	rpc_stream_free(p->host);
	channels_give(p->channel);
	free(p);
}
