/* One call of a client: the struct behind proto/rpc.h's rpc_stream_*. */
#ifndef PROTO_RPC_STREAM_H
#define PROTO_RPC_STREAM_H

#include "proto/rpc_pipe.h"

struct rpc_stream {
	struct rpc_pipe pipe;
	struct list link; /* its channel's lock */
	struct rpc_channel *channel;
	const struct rpc_stream_ops *ops;
	void *arg;
	atomic_bool dropped; /* no callback any more */
	struct span span;    /* until it has ended the queue's thread's */
	bool malformed;	     /* a message could not be unpacked; the queue's thread */
};

#endif
