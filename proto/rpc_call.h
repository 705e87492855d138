/* One call of a server: the struct behind proto/rpc.h's rpc_call_*. */
#ifndef PROTO_RPC_CALL_H
#define PROTO_RPC_CALL_H

#include "proto/rpc_pipe.h"

struct rpc_call {
	struct rpc_pipe pipe; /* its call and head are set by gRPC when a request arrives */
	struct rpc_tag new_tag;
	grpc_call_details details;
	struct rpc_server *server;
	struct rpc_queue *queue; /* the server's that it came by */
	char *peer;		 /* the server sets it */

	const struct rpc_method *method;
	void *arg;
	void *user;
	char *metadata;	  /* key NUL value NUL ... NUL */
	bool told;	  /* message() has been called */
	struct span span; /* the queue's thread; its context is constant */
};

/* To be handed to grpc_server_request_call(). */
struct rpc_call *rpc_call_new(struct rpc_server *server);
/* A request has arrived: for the method, or to be answered with the code and text at once. Either
 * way rpc_server_call_over() is called once when the call is over. */
void rpc_call_begin(struct rpc_call *call, const struct rpc_method *method, void *arg);
void rpc_call_refuse(struct rpc_call *call, enum rpc_code code, const char *text);

/* rpc_server.c's */
void rpc_server_call_over(struct rpc_server *s);

#endif
