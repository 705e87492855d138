/*
 * How a link is secured, and the keys of it that a program's configuration has. The files are PEM;
 * they are read anew when they change on disk, so a renewed certificate needs no restart.
 *
 * A member of a cluster is who shows a certificate that the cluster's CA signed.
 */
#ifndef PROTO_RPC_TLS_H
#define PROTO_RPC_TLS_H

#include "base/config.h"
#include "base/err.h"

struct rpc_tls {
	char *ca; /* signed the other side's certificate; a server's clients must show one */
	char *cert, *key;  /* what we show; a client may have none */
	char *server_name; /* clients: in the other's certificate; NULL = the address it has */
};

/* Nothing is said of TLS: the link is plain. */
static inline bool rpc_tls_is_off(const struct rpc_tls *t)
{
	return !t || (!t->ca && !t->cert && !t->key);
}

/* What is wrong with it, by the key below prefix ("upload.server"): a part that is missing, a file
 * that cannot be read or is none, a key of another certificate. A server needs cert and key, a
 * client ca. ENOENT, EACCES, EINVAL. */
must_check int rpc_tls_check_server(const struct rpc_tls *t, const char *prefix, struct err *e);
must_check int rpc_tls_check_client(const struct rpc_tls *t, const char *prefix, struct err *e);

#define RPC_TLS_AT(program, member, of) offsetof(program, member) + offsetof(struct rpc_tls, of)
#define RPC_TLS_KEY(program, member, prefix, name, of, text)                                       \
	{                                                                                          \
		.path = prefix name, .type = CONFIG_STRING,                                        \
		.offset = RPC_TLS_AT(program, member, of), .help = text                            \
	}

/* The keys of a struct rpc_tls that is field of the program's struct: of a port that others come
 * to (who: "Peers"), and of links to others (whom: "schedulers"). */
#define RPC_TLS_SERVER_KEYS(program, member, prefix, who)                                          \
	RPC_TLS_KEY(program, member, prefix, ".caCert", ca,                                        \
		    "PEM file of the CA that signed the members' certificates. " who               \
		    " must show one of them then. Needs cert and key."),                           \
		RPC_TLS_KEY(program, member, prefix, ".cert", cert,                                \
			    "PEM file of the certificate of this port. Given: TLS, and nothing "   \
			    "plain is answered. Default: no TLS."),                                \
		RPC_TLS_KEY(program, member, prefix, ".key", key,                                  \
			    "PEM file of its key, without a passphrase.")
#define RPC_TLS_CLIENT_KEYS(program, member, prefix, whom)                                         \
	RPC_TLS_KEY(program, member, prefix, ".caCert", ca,                                        \
		    "PEM file of the CA that signed the certificate of " whom                      \
		    ". Given: TLS to " whom ". Default: no TLS."),                                 \
		RPC_TLS_KEY(program, member, prefix, ".cert", cert,                                \
			    "PEM file of the certificate that is shown to " whom "."),             \
		RPC_TLS_KEY(program, member, prefix, ".key", key,                                  \
			    "PEM file of its key, without a passphrase."),                         \
		RPC_TLS_KEY(program, member, prefix, ".serverName", server_name,                   \
			    "Name that the certificate of " whom                                   \
			    " must be made out for, where all show the same. Default: the "        \
			    "address it is reached by.")

#endif
