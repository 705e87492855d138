/*
 * One gRPC call with its queue of messages to send: what a server's call and a client's stream
 * share. Reference-counted. Its owner is told of each message and of the end, on the queue's thread
 * and without a lock held; the sending half may be used from any thread.
 *
 *	open	pipe_init
 *	ending	pipe_end: what is queued goes out, then the status (server), the half-close (client)
 *	dead	the other side or the transport ended the call: nothing is sent any more
 *	over	dead, and every batch has ended: owner->over() is told, the grpc_call let go
 */
#ifndef PROTO_RPC_PIPE_H
#define PROTO_RPC_PIPE_H

#include "base/list.h"
#include "base/lock.h"
#include "proto/rpc.h"
#include "proto/rpc_queue.h"

#include <stdatomic.h>

#define PIPE_QUEUE_MAX	 1024
#define PIPE_TEXT_MAX	 512 /* of a status; the other side bounds its header at 8 KiB */
#define PIPE_DETAILS_MAX 4096

struct pipe_owner;

struct rpc_pipe {
	const struct pipe_owner *owner;
	bool is_server;
	atomic_int refs;
	struct lock lock;      /* everything below */
	struct cond over_cond; /* told has become true */
	grpc_call *call;       /* NULL once over */
	unsigned batches;      /* decided upon and not ended */
	bool dead, told;
	bool held, parked; /* no read is started; one would have been (counts as a batch) */
	bool cancelling;   /* nothing is held any more */

	struct list queue; /* of struct packed */
	unsigned queued;
	bool writing, header_sent, ending, end_sent, write_failed;
	grpc_byte_buffer *out; /* being written */
	grpc_byte_buffer *in;  /* just read */

	/* the server's status */
	enum rpc_code code;
	char *text;
	void *details;
	size_t details_len;

	/* the client's: headers and what RECV_STATUS_ON_CLIENT fills; the server's: cancelled */
	grpc_metadata traceparent; /* sent with the header if has_trace */
	bool has_trace;
	grpc_metadata_array head, trailer;
	grpc_status_code status;
	grpc_slice status_text;
	int cancelled;

	struct rpc_tag write_tag, read_tag, end_tag;
};

struct pipe_owner {
	/* A message, the owner's now; NULL: the other side sends no more (only if it said so). */
	void (*read)(struct rpc_pipe *p, grpc_byte_buffer *bytes);
	/* Last. The status fields are set. The owner drops a reference afterwards. */
	void (*over)(struct rpc_pipe *p);
	void (*free)(struct rpc_pipe *p); /* the last reference is gone */
};

/* Takes the call; one reference, the caller's. */
void pipe_init(struct rpc_pipe *p, const struct pipe_owner *owner, bool is_server);
void pipe_release(struct rpc_pipe *p);
void pipe_ref(struct rpc_pipe *p);
void pipe_unref(struct rpc_pipe *p);

/* A client's: the context goes along with the header. Before pipe_start(). */
void pipe_set_trace(struct rpc_pipe *p, const struct trace_context *c);
/* Begins: watches for the end, and reads if reading. Once, with the call set. */
void pipe_start(struct rpc_pipe *p, bool reading);
/* Asks for one more message, once it is not held. On the queue's thread only. */
void pipe_read(struct rpc_pipe *p);
/* As rpc_stream_hold() and _resume(). */
void pipe_hold(struct rpc_pipe *p);
void pipe_resume(struct rpc_pipe *p);
/* Sends the header now rather than with the first message. */
void pipe_send_header(struct rpc_pipe *p);
/* False if the call is ending, dead, or PIPE_QUEUE_MAX messages wait. end: as pipe_end with OK. */
bool pipe_send(struct rpc_pipe *p, const ProtobufCMessage *msg, bool end);
/* As rpc_call_queue() and _flush(). */
bool pipe_queue(struct rpc_pipe *p, const ProtobufCMessage *msg);
void pipe_flush(struct rpc_pipe *p);
/* The status after what is queued, or the half-close (code and what follows are ignored). */
void pipe_end(struct rpc_pipe *p, enum rpc_code code, const char *text, const void *details,
	      size_t details_len);
void pipe_cancel(struct rpc_pipe *p);
unsigned pipe_backlog(struct rpc_pipe *p);
bool pipe_is_dead(struct rpc_pipe *p);
bool pipe_is_ending(struct rpc_pipe *p);
/* Until owner->over() has returned. Not on the queue's thread. */
void pipe_wait_over(struct rpc_pipe *p);

#endif
