/* A unary call that no thread waits for: the answer comes on the rpc thread. */
#ifndef DAEMON_ASK_H
#define DAEMON_ASK_H

#include "proto/rpc.h"

/* Exactly once. answer is NULL unless code is RPC_OK, and the callee's during the call only. */
typedef void (*ask_done)(const ProtobufCMessage *answer, enum rpc_code code, const char *text,
			 void *arg);

/* Never blocks, never calls done itself. If the channel is freed meanwhile, done comes with
 * RPC_CANCELLED. */
void ask(struct rpc_channel *ch, const char *path, const ProtobufCMessage *request,
	 const ProtobufCMessageDescriptor *answer, int64_t timeout_ms, ask_done done, void *arg);

#endif
