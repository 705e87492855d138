/* The certificate authority of interception: keeps its own key, signs a certificate per host. */
#ifndef DAEMON_AUTHORITY_H
#define DAEMON_AUTHORITY_H

#include "base/err.h"

#include <openssl/ssl.h>

struct authority;

/* cert_file and key_file (PEM) if they are not NULL; otherwise <dir>/proxy-ca.pem, made if it is
 * not there. EINVAL: not a CA, or the key is another's. ENOENT, EACCES, ... */
must_check int authority_open(const char *cert_file, const char *key_file, const char *dir,
			      struct authority **out, struct err *e);
void authority_free(struct authority *a);
/* Gives ssl a certificate for host (a name or a literal IP). Thread-safe. EINVAL: no host's name.
 */
must_check int authority_sign_for(struct authority *a, const char *host, SSL *ssl, struct err *e);

#endif
