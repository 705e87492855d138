/* The client's channel as its streams see it. */
#ifndef PROTO_RPC_CHANNEL_H
#define PROTO_RPC_CHANNEL_H

#include "base/list.h"
#include "proto/rpc.h"

#include <grpc/grpc.h>

/* A new call with all completions on the queue; timeout_ms 0 = no deadline,
 * negative = it has passed. */
grpc_call *rpc_channel_call(struct rpc_channel *ch, const char *path, grpc_completion_queue *cq,
			    int64_t timeout_ms);

/* The text of a call's end for people: where TLS is the reason that there is no connection, what is
 * to be mended; else text. */
const char *rpc_channel_words(const struct rpc_channel *ch, const char *text);

/* A stream is one of its channel's from here until _leave: freeing the channel cancels it. */
void rpc_channel_join(struct rpc_channel *ch, struct rpc_stream *s);
void rpc_channel_leave(struct rpc_channel *ch, struct rpc_stream *s);

#endif
