/* Channel arguments that servers and clients of gRPC core have in common. */
#ifndef PROTO_RPC_ARGS_H
#define PROTO_RPC_ARGS_H

#include "base/cleanup.h"

#include <grpc/compression.h>
#include <grpc/grpc.h>

static inline grpc_arg rpc_arg_int(const char *key, int value)
{
	return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static inline grpc_arg rpc_arg_text(const char *key, const char *value)
{
	return (grpc_arg){
		.type = GRPC_ARG_STRING, .key = (char *)key, .value.string = (char *)value};
}

/* Past the quota core cancels the calls that hold most and closes idle connections: the limit of a
 * message alone would let one connection hold a thousand of them. */
static inline grpc_arg rpc_arg_quota(grpc_resource_quota *quota)
{
	return (grpc_arg){
		.type = GRPC_ARG_POINTER,
		.key = (char *)GRPC_ARG_RESOURCE_QUOTA,
		.value.pointer = {.p = quota, .vtable = grpc_resource_quota_arg_vtable()}};
}

/* Core unpacks a compressed message to whatever size it has: neither side takes any. */
#define RPC_ARGS_NO_COMPRESSION                                                                    \
	rpc_arg_int(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE),  \
		rpc_arg_int(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0)

/* What may come of a stream before it is read. Core's own guess at the line grows to what lies
 * between two processes of one machine and holds it all; this fills 10 Gbit/s over 3 ms. */
#define RPC_WINDOW_LEN (4 << 20)
#define RPC_ARGS_WINDOW                                                                            \
	rpc_arg_int(GRPC_ARG_HTTP2_BDP_PROBE, 0),                                                  \
		rpc_arg_int(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, RPC_WINDOW_LEN)

#endif
