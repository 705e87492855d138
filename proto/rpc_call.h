/* One call of a server: the struct behind proto/rpc.h's rpc_call_*. */
#ifndef PROTO_RPC_CALL_H
#define PROTO_RPC_CALL_H

#include "proto/rpc_pipe.h"

struct rpc_call {
	struct rpc_pipe pipe; /* its call and head are set by gRPC when a request arrives */
	struct rpc_tag new_tag;
	grpc_call_details details;
	void *server;

	const struct rpc_method *method; /* NULL: unknown, or too many calls */
	void *arg;
	void (*over)(void *server);
	void *user;
	char *peer;
	char *metadata; /* key NUL value NUL ... NUL */
	bool told;	/* message() has been called */
};

/* To be handed to grpc_server_request_call(). */
struct rpc_call *rpc_call_new(void *server);
/* A request has arrived for the method; over(server) is called once when the call is over. method
 * NULL: it is answered with the code and text at once. */
void rpc_call_begin(struct rpc_call *call, const struct rpc_method *method, void *arg,
		    void (*over)(void *server), enum rpc_code code, const char *text);

#endif
