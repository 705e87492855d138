/* Certificates from files, or none, as gRPC core wants them. */
#ifndef PROTO_RPC_CREDENTIALS_H
#define PROTO_RPC_CREDENTIALS_H

#include "proto/rpc_tls.h"

#include <grpc/grpc_security.h>

/* With core's beginning and before its end. */
void rpc_credentials_start(void);
void rpc_credentials_stop(void);

/* t NULL or off: plaintext. Files are watched: what is connected afterwards uses those that are
 * there then. The errors are rpc_tls_check_*()'s. */
must_check int rpc_credentials_server(const struct rpc_tls *t, grpc_server_credentials **out,
				      struct err *e);
must_check int rpc_credentials_client(const struct rpc_tls *t, grpc_channel_credentials **out,
				      struct err *e);

#endif
