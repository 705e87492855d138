/*
 * The manager's list of seeds (seed_link.h). No thread: the timer registers, and once the stream of
 * keep-alives is open it sends them; the stream's end arms it to register again.
 *
 *	state		next			who moves it
 *	away		asking			the timer
 *	asking		alive, or away		the answer to UpdateSeedPeer
 *	alive		away			the end of the stream
 */
#include "daemon/seed_link.h"

#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/timer.h"
#include "daemon/ask.h"
#include "proto/message.h"

#include "manager_v2.pb-c.h"

#include <string.h>

#define LINK_LOCK_RANK	 50
#define CALL_TIMEOUT_MS	 3000
#define LEAVE_TIMEOUT_MS 1000
#define BACKOFF_FIRST_MS 500
#define BACKOFF_MAX_MS	 15000
#define UPDATE_PATH	 "/manager.v2.Manager/UpdateSeedPeer"
#define DELETE_PATH	 "/manager.v2.Manager/DeleteSeedPeer"
#define ALIVE_PATH	 "/manager.v2.Manager/KeepAlive"

struct seed_link {
	struct host *host;
	uint64_t cluster_id;
	int64_t keep_alive_ms;
	struct rpc_channel *channel;
	struct timer timer;
	struct lock lock;
	struct cond changed;
	/* all below: lock */
	bool stopping;
	bool asking;		   /* UpdateSeedPeer is on its way */
	bool listed;		   /* it was answered once: there is a row to take away */
	bool told_away;		   /* that it fails has been logged */
	struct rpc_stream *stream; /* of keep-alives; NULL = not alive */
	int64_t backoff_ms;
};

/* Under the lock. */
static void try_later(struct seed_link *l)
{
	if (l->stopping)
		return;
	timer_arm(&l->timer, l->backoff_ms);
	l->backoff_ms = l->backoff_ms * 2 < BACKOFF_MAX_MS ? l->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void on_closed(struct rpc_stream *s, enum rpc_code code, const char *text,
		      const void *details, size_t details_len, void *arg)
{
	struct seed_link *l = arg;

	(void)code, (void)text, (void)details, (void)details_len;
	lock_guard(&l->lock);
	if (l->stream != s)
		return; /* seed_link_free() has it */
	l->stream = NULL;
	rpc_stream_drop(s);
	try_later(l);
}

static const struct rpc_stream_ops alive_ops = {
	.response = &google__protobuf__empty__descriptor,
	.closed = on_closed,
};

/* Under the lock. */
static void say_alive(struct seed_link *l)
{
	const struct host_config *c = host_config(l->host);
	Manager__V2__KeepAliveRequest rq = MANAGER__V2__KEEP_ALIVE_REQUEST__INIT;

	rq.source_type = MANAGER__V2__SOURCE_TYPE__SEED_PEER_SOURCE;
	rq.hostname = (char *)c->hostname;
	rq.ip = (char *)c->ip;
	rq.cluster_id = l->cluster_id;
	rpc_stream_send(l->stream, &rq.base);
	timer_arm(&l->timer, l->keep_alive_ms);
}

/* Tells a change once. */
static void note_answer(struct seed_link *l, enum rpc_code code, const char *text)
{
	bool tell;

	lock_take(&l->lock);
	tell = code != RPC_OK && !l->told_away;
	l->told_away = code != RPC_OK;
	lock_drop(&l->lock);
	if (code == RPC_OK)
		log_info("seed is listed at the manager", "cluster=%llu",
			 (unsigned long long)l->cluster_id);
	else if (tell)
		log_warn("seed is not listed at the manager yet", "cluster=%llu why=\"%s\"",
			 (unsigned long long)l->cluster_id, text ? text : "");
}

static void on_listed(const ProtobufCMessage *msg, enum rpc_code code, const char *text, void *arg)
{
	struct seed_link *l = arg;

	(void)msg;
	note_answer(l, code, text);
	lock_guard(&l->lock);
	l->asking = false;
	l->listed = l->listed || code == RPC_OK;
	if (code != RPC_OK) {
		try_later(l);
	} else if (!l->stopping) {
		l->backoff_ms = BACKOFF_FIRST_MS;
		l->stream = rpc_stream_new(l->channel, ALIVE_PATH, &alive_ops, l, 0);
		say_alive(l);
	}
	cond_wake_all(&l->changed);
}

/* Under the lock. */
static void ask_to_list(struct seed_link *l)
{
	const struct host_config *c = host_config(l->host);
	Manager__V2__UpdateSeedPeerRequest rq = MANAGER__V2__UPDATE_SEED_PEER_REQUEST__INIT;

	rq.source_type = MANAGER__V2__SOURCE_TYPE__SEED_PEER_SOURCE;
	rq.hostname = (char *)c->hostname;
	rq.ip = (char *)c->ip;
	rq.port = c->port;
	rq.download_port = c->download_port;
	rq.type = (char *)"super";
	rq.seed_peer_cluster_id = l->cluster_id;
	if (c->idc)
		message_set(&rq, idc, MANAGER__V2__UPDATE_SEED_PEER_REQUEST__IDC__IDC,
			    (char *)c->idc);
	if (c->location)
		message_set(&rq, location,
			    MANAGER__V2__UPDATE_SEED_PEER_REQUEST__LOCATION__LOCATION,
			    (char *)c->location);
	l->asking = true;
	ask(l->channel, UPDATE_PATH, &rq.base, &manager__v2__seed_peer__descriptor, CALL_TIMEOUT_MS,
	    on_listed, l);
}

static void on_timer(struct timer *t)
{
	struct seed_link *l = t->arg;

	lock_guard(&l->lock);
	if (l->stopping || l->asking)
		return;
	if (l->stream)
		say_alive(l);
	else
		ask_to_list(l);
}

struct seed_link *seed_link_new(const struct seed_link_config *c, struct host *host)
{
	struct seed_link *l = mem_new(struct seed_link);
	const char *addr = strncmp(c->addr, "http://", 7) == 0 ? c->addr + 7 : c->addr;

	l->host = host;
	l->cluster_id = c->cluster_id;
	l->keep_alive_ms = c->keep_alive_ms;
	l->backoff_ms = BACKOFF_FIRST_MS;
	l->channel = rpc_channel_new(addr, c->tls);
	l->timer = (struct timer){.fire = on_timer, .arg = l};
	lock_init(&l->lock, LINK_LOCK_RANK);
	cond_init(&l->changed);
	timer_arm(&l->timer, 0);
	return l;
}

/* The keep-alives end; true if there is a row to take away. */
static bool stop(struct seed_link *l)
{
	struct rpc_stream *stream;
	bool listed;

	lock_take(&l->lock);
	l->stopping = true;
	while (l->asking) /* it has a deadline */
		cond_wait(&l->changed, &l->lock);
	stream = l->stream;
	l->stream = NULL;
	listed = l->listed;
	lock_drop(&l->lock);
	timer_cancel(&l->timer);
	if (stream)
		rpc_stream_free(stream);
	return listed;
}

static void leave(struct seed_link *l)
{
	const struct host_config *c = host_config(l->host);
	Manager__V2__DeleteSeedPeerRequest rq = MANAGER__V2__DELETE_SEED_PEER_REQUEST__INIT;
	ProtobufCMessage *answer = NULL;
	struct err e = {0};

	rq.source_type = MANAGER__V2__SOURCE_TYPE__SEED_PEER_SOURCE;
	rq.hostname = (char *)c->hostname;
	rq.ip = (char *)c->ip;
	rq.seed_peer_cluster_id = l->cluster_id;
	if (rpc_unary(l->channel, DELETE_PATH, &rq.base, &google__protobuf__empty__descriptor,
		      LEAVE_TIMEOUT_MS, &answer, NULL, &e) < 0)
		log_warn("seed stays in the manager's list", "why=\"%s\"", e.text);
	else
		protobuf_c_message_free_unpacked(answer, NULL);
}

void seed_link_free(struct seed_link *l)
{
	if (!l)
		return;
	if (stop(l))
		leave(l);
	rpc_channel_free(l->channel);
	cond_release(&l->changed);
	lock_release(&l->lock);
	free(l);
}
