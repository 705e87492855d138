/* Certificates from files, or none. */
#ifndef PROTO_RPC_CREDENTIALS_H
#define PROTO_RPC_CREDENTIALS_H

#include "base/err.h"

#include <grpc/grpc_security.h>

/* cert and key NULL: plaintext. ca: clients must show a certificate that it signed. */
must_check int rpc_credentials_server(const char *cert, const char *key, const char *ca,
				      grpc_server_credentials **out, struct err *e);
/* ca NULL: plaintext. */
must_check int rpc_credentials_client(const char *ca, const char *cert, const char *key,
				      grpc_channel_credentials **out, struct err *e);

#endif
