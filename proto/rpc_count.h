/*
 * How often each method of this process's servers was called, and how the calls ended, under the
 * names of go-grpc-prometheus (grpc_server_started_total, grpc_server_handled_total). Counted by
 * rpc_call.c, a few atomics each; shown when figures are printed.
 */
#ifndef PROTO_RPC_COUNT_H
#define PROTO_RPC_COUNT_H

#include "proto/rpc.h"

struct rpc_tally {
	uint64_t started, ok, failed; /* failed: ended otherwise than OK */
};

void rpc_count_started(const struct rpc_method *m);
void rpc_count_handled(const struct rpc_method *m, enum rpc_code code);
/* All 0 for what was never called. */
struct rpc_tally rpc_tally(const struct rpc_method *m);

#endif
