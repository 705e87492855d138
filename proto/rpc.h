/*
 * gRPC for the whole project: the one wrapper of gRPC C core; nothing else includes grpc headers.
 * Messages are protobuf-c's. Works over TCP ("1.2.3.4:80", "[::1]:80") and "unix:/path".
 *
 * Fixed by this module: no http_proxy, no SO_REUSEPORT (a second server on the port fails), unix
 * sockets guarded by an flock, message size and metadata limits, keepalive, unknown methods
 * answered UNIMPLEMENTED at once, grpc.health.v1.Health served by every server, core's log sent to
 * ours, connections refused while 7/8 of the process's descriptors are open (but not on ports with
 * TLS: core accepts there itself, and after the last descriptor such a port is deaf until the
 * process is started anew, which the log tells).
 *
 * Traces (base/trace.h): each call of a server has a span, whose parent is what the client's
 * traceparent says, and which callbacks run within; each call of a client that is made within a
 * context has one too and hands it on.
 *
 * Callbacks run on the server's rpc threads or the client's one: they must not block. Those of one
 * call come one at a time, on the same thread. Calls to rpc_call_* and rpc_stream_* are allowed
 * from any thread and never block.
 */
#ifndef PROTO_RPC_H
#define PROTO_RPC_H

#include "base/err.h"
#include "base/trace.h"
#include "proto/rpc_tls.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

/* The canonical gRPC codes we use. */
enum rpc_code {
	RPC_OK = 0,
	RPC_CANCELLED = 1,
	RPC_UNKNOWN = 2,
	RPC_INVALID_ARGUMENT = 3,
	RPC_DEADLINE_EXCEEDED = 4,
	RPC_NOT_FOUND = 5,
	RPC_ALREADY_EXISTS = 6,
	RPC_PERMISSION_DENIED = 7,
	RPC_RESOURCE_EXHAUSTED = 8,
	RPC_FAILED_PRECONDITION = 9,
	RPC_ABORTED = 10,
	RPC_OUT_OF_RANGE = 11,
	RPC_UNIMPLEMENTED = 12,
	RPC_INTERNAL = 13,
	RPC_UNAVAILABLE = 14,
	RPC_UNAUTHENTICATED = 16,
};

/* errno <-> code, for the edges. rpc_code_to_errno(RPC_UNAVAILABLE) is EHOSTUNREACH, NOT_FOUND
 * ENOENT, DEADLINE_EXCEEDED ETIMEDOUT, UNIMPLEMENTED ENOSYS, ...; anything odd is EPROTO. */
int rpc_code_to_errno(int code);
enum rpc_code rpc_code_of_errno(int err_no);

/* Once in main, before the first server or channel and after any fork. */
void rpc_init(void);
/* Once, before the process ends, when every channel, stream and server has been freed. Waits for
 * connections that are being made, and at most 1 s for core's own threads. */
void rpc_shutdown(void);

/* ---- server ---- */

struct rpc_server;
struct rpc_call; /* one call in progress, reference-counted: the server holds one until closed() */

struct rpc_method {
	const char *path; /* "/scheduler.v2.Scheduler/AnnouncePeer" */
	const ProtobufCMessageDescriptor *request;
	bool client_streams; /* requests keep coming; otherwise message() is called once */
	/* A request has come. req is the callee's only during the call (freed by us afterwards). A
	 * unary handler answers with rpc_call_reply() now or later, from any thread (take a ref).
	 */
	void (*message)(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
	/* Streams only, may be NULL: the client has sent all it wants to send. */
	void (*half_closed)(struct rpc_call *call, void *arg);
	/* May be NULL: the call is over (finished, cancelled, connection lost; a client whose
	 * deadline has passed cancels, the server does not look at it). Called exactly once if
	 * message() was ever called; sends after it do nothing. */
	void (*closed)(struct rpc_call *call, void *arg);
};

struct rpc_server_config {
	/* "ip:port", ":port" (any address, IPv4 and IPv6) or "unix:/path"; ends with NULL; port 0 =
	 * the system picks. */
	const char *const *listen;
	const struct rpc_method *const *services; /* arrays of methods each ended by path NULL;
						     the list ends with NULL */
	void *const *service_args;		  /* arg for each service's callbacks */
	unsigned threads;	  /* callbacks of so many calls at the same time, 0 = 1 */
	uint32_t message_len_max; /* 0 = 16 MiB */
	uint32_t streams_max;	  /* concurrent calls per connection, 0 = 1000 */
	/* Bytes that all connections and requests together may hold, 0 = 256 MiB (an idle
	 * connection takes some 16 KiB). Past it the calls that hold most are cancelled. */
	uint64_t memory_max;
	const struct rpc_tls *tls; /* NULL or off = plaintext; unix sockets always are */
};

must_check int rpc_server_new(const struct rpc_server_config *c, struct rpc_server **out,
			      struct err *e);
uint16_t rpc_server_port(const struct rpc_server *s); /* of the first TCP address */
/* What the health service answers; true after _new. */
void rpc_server_set_serving(struct rpc_server *s, bool serving);
/* Refuses new calls, gives running ones grace_ms, cancels the rest, joins. */
void rpc_server_free(struct rpc_server *s, int64_t grace_ms);

void rpc_call_ref(struct rpc_call *call);
void rpc_call_unref(struct rpc_call *call);
/* A place for the callee's own state of this call. */
void rpc_call_set_user(struct rpc_call *call, void *user);
void *rpc_call_user(const struct rpc_call *call);
/* "1.2.3.4:5678" or "[::1]:80" or "unix"; lives as long as the call. */
const char *rpc_call_peer(const struct rpc_call *call);
/* A request metadata value, or NULL; the key in lower case. Lives as long as the call. */
const char *rpc_call_metadata(const struct rpc_call *call, const char *key);
/* Of its span; lives as long as the call. */
const struct trace_context *rpc_call_trace(const struct rpc_call *call);
bool rpc_call_is_closed(const struct rpc_call *call);
/* Queues one message; packed before it returns. False (nothing queued) if the call is over or
 * 1,024 messages are waiting already (the client does not read). */
bool rpc_call_send(struct rpc_call *call, const ProtobufCMessage *msg);
/* The same in two steps, for who holds a lock that others want: queueing packs the message and
 * takes its place among the call's, flushing begins to write. What is not flushed goes out with the
 * next message. */
bool rpc_call_queue(struct rpc_call *call, const ProtobufCMessage *msg);
void rpc_call_flush(struct rpc_call *call);
/* Messages queued and not yet written. */
unsigned rpc_call_backlog(const struct rpc_call *call);
/* Ends the call after what is queued. Later calls do nothing. text may be NULL. */
void rpc_call_finish(struct rpc_call *call, enum rpc_code code, const char *text);
/* The same with status details (grpc-status-details-bin); left out if longer than 4 KiB. */
void rpc_call_finish_details(struct rpc_call *call, enum rpc_code code, const char *text,
			     const void *details, size_t len);
/* send + finish OK. */
void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *msg);

/* ---- client ---- */

struct rpc_channel; /* to one target; connects lazily, reconnects by itself; thread-safe */

/* tls NULL or off = plaintext; files that are no good fail each call. Never blocks. */
struct rpc_channel *rpc_channel_new(const char *target, const struct rpc_tls *tls);
void rpc_channel_free(struct rpc_channel *ch); /* cancels its calls' and streams' connection */

static inline void rpc_channel_free_at(struct rpc_channel **ch)
{
	rpc_channel_free(*ch);
	*ch = NULL;
}

const char *rpc_channel_target(const struct rpc_channel *ch);

/* Blocks until the answer or the deadline (timeout_ms <= 0: it has passed). *resp_out is unpacked
 * by resp_desc; free it with protobuf_c_message_free_unpacked(). A refused connection fails at once
 * (not wait-for-ready). e->code by rpc_code_to_errno(), the text has the server's. code_out may be
 * NULL. */
must_check int rpc_unary(struct rpc_channel *ch, const char *path, const ProtobufCMessage *req,
			 const ProtobufCMessageDescriptor *resp_desc, int64_t timeout_ms,
			 ProtobufCMessage **resp_out, int *code_out, struct err *e);

/* grpc.health.v1.Health/Check: 0 if SERVING. */
must_check int rpc_check_health(struct rpc_channel *ch, int64_t timeout_ms, struct err *e);

struct rpc_stream;
struct rpc_stream_ops {
	const ProtobufCMessageDescriptor *response;
	/* One message from the server; freed by us afterwards. May be NULL: only the end matters.
	 */
	void (*message)(struct rpc_stream *s, const ProtobufCMessage *msg, void *arg);
	/* Exactly once, last: status from the server or the transport. details may be NULL. */
	void (*closed)(struct rpc_stream *s, enum rpc_code code, const char *text,
		       const void *details, size_t details_len, void *arg);
};

/* Opens a bidi, client- or server-streaming call; timeout_ms 0 = no deadline. Returns at once; a
 * failure to connect comes as closed(). For server streaming: send one message, then
 * rpc_stream_half_close(). */
struct rpc_stream *rpc_stream_new(struct rpc_channel *ch, const char *path,
				  const struct rpc_stream_ops *ops, void *arg, int64_t timeout_ms);
bool rpc_stream_send(struct rpc_stream *s, const ProtobufCMessage *msg); /* as rpc_call_send */
void rpc_stream_half_close(struct rpc_stream *s);
/* No message after the one being told, from its callback, until resume, from any thread: the other
 * side is slowed down by flow control. Cancelling resumes; closed() waits for it as well. */
void rpc_stream_hold(struct rpc_stream *s);
void rpc_stream_resume(struct rpc_stream *s);
void rpc_stream_cancel(struct rpc_stream *s); /* closed() still comes */
/* Waits until closed() has returned (so not from a callback), cancelling first. */
void rpc_stream_free(struct rpc_stream *s);
/* Gives it up without waiting: callbacks stop coming as soon as a running one returns; freed by
 * itself. Allowed from its own callbacks. */
void rpc_stream_drop(struct rpc_stream *s);

#endif
