/*
 * The listening sockets of a server and the thread that accepts on them. gRPC core's own listener
 * falls deaf for ever at the first EMFILE (grpc#20418), takes unix sockets from running servers and
 * only logs why it cannot listen; so connections are accepted here and handed over. Core can take
 * only plaintext ones this way: TLS addresses are listened on by core (rpc_server.c).
 */
#ifndef PROTO_RPC_ACCEPT_H
#define PROTO_RPC_ACCEPT_H

#include "base/err.h"

#include <grpc/grpc.h>
#include <stdint.h>

struct rpc_accept;

struct rpc_accept *rpc_accept_new(grpc_server *server);
/* Binds "ip:port", ":port" (any address) or "unix:/path"; *port_out is 0 for unix. */
must_check int rpc_accept_listen(struct rpc_accept *a, const char *address, uint16_t *port_out,
				 struct err *e);
/* Starts the thread; the server has been started. */
void rpc_accept_start(struct rpc_accept *a);
/* Joins the thread, closes the sockets, removes those of unix. Connections stay. Once. */
void rpc_accept_stop(struct rpc_accept *a);
void rpc_accept_free(struct rpc_accept *a); /* stopped */

/* The peer of a call as rpc_call_peer() promises it; the caller frees it. */
char *rpc_accept_peer(struct rpc_accept *a, grpc_call *call);

#endif
