/* The addresses of a server: which words they are made of, who holds a unix socket, why one cannot
 * be had. */
#ifndef PROTO_RPC_LISTEN_H
#define PROTO_RPC_LISTEN_H

#include "base/err.h"

#include <stdbool.h>

/* The path of "unix:/path", or NULL. */
const char *rpc_listen_unix_path(const char *address);

/* Claims a unix socket's path by an flock on <path>.lock, which stays there: gRPC core would
 * silently take the path from a running server. *fd_out holds the claim until it is closed, -1 for
 * TCP. EADDRINUSE: another process serves it. */
must_check int rpc_listen_claim(const char *address, int *fd_out, struct err *e);

/* Says why gRPC core could not listen, which it only logs, by trying the same. Returns -errno. */
int rpc_listen_explain(const char *address, struct err *e);

#endif
