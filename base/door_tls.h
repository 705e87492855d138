/*
 * TLS on the connections of a door: HTTP/1.1 inside of TLS 1.2 or newer, by OpenSSL. What is
 * presented to a client is the caller's: a certificate for all (door_tls_new), or one for each
 * connection (daemon/intercept).
 */
#ifndef BASE_DOOR_TLS_H
#define BASE_DOOR_TLS_H

#include "base/door.h"

#include <openssl/ssl.h>

struct door_tls;

/* A context that has no certificate yet. EINVAL. */
must_check int door_tls_context(SSL_CTX **out, struct err *e);
/* How the bytes of a connection travel; its arg is an SSL that accepts. */
extern const struct door_stream door_tls_stream;

/* The certificate, followed by those between it and its authority, and its key: PEM files, read
 * now. EINVAL with the file in its text. */
must_check int door_tls_new(const char *cert_file, const char *key_file, struct door_tls **out,
			    struct err *e);
void door_tls_free(struct door_tls *t);
/* The arg of door_tls_stream for a connection. */
void *door_tls_accept(struct door_tls *t, int fd);

#endif
