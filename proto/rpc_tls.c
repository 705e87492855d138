/* Looks into the files of a link's TLS before gRPC core, which only logs what is wrong with them.
 */
#include "proto/rpc_tls.h"

#include "base/cleanup.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <unistd.h>

/* What is wrong with a file. */
static int refused(const char *prefix, const char *key, const char *file, struct err *e)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	ERR_clear_error();
	return err_set(e, EINVAL, "%s.%s: %s: %s", prefix, key, file, why ? why : "is not PEM");
}

static int check_readable(const char *prefix, const char *key, const char *file, struct err *e)
{
	if (access(file, R_OK) < 0)
		return err_set(e, errno, "%s.%s: open %s", prefix, key, file);
	return 0;
}

/* A key with a passphrase would be asked for on a terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out, (void)size, (void)writing, (void)arg;
	return -1;
}

static int load(SSL_CTX *context, const struct rpc_tls *t, const char *prefix, struct err *e)
{
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	ERR_clear_error();
	if (t->ca && SSL_CTX_load_verify_file(context, t->ca) != 1)
		return refused(prefix, "caCert", t->ca, e);
	if (!t->cert)
		return 0;
	if (SSL_CTX_use_certificate_chain_file(context, t->cert) != 1)
		return refused(prefix, "cert", t->cert, e);
	if (SSL_CTX_use_PrivateKey_file(context, t->key, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(context) != 1)
		return refused(prefix, "key", t->key, e);
	return 0;
}

static int check_files(const struct rpc_tls *t, const char *prefix, struct err *e)
{
	SSL_CTX *context;
	int r = 0;

	if (t->ca)
		r = check_readable(prefix, "caCert", t->ca, e);
	if (r == 0 && t->cert)
		r = check_readable(prefix, "cert", t->cert, e);
	if (r == 0 && t->key)
		r = check_readable(prefix, "key", t->key, e);
	if (r < 0)
		return r;
	context = SSL_CTX_new(TLS_method());
	if (!context)
		return err_set(e, EINVAL, "OpenSSL has no TLS");
	r = load(context, t, prefix, e);
	SSL_CTX_free(context);
	return r;
}

int rpc_tls_check_server(const struct rpc_tls *t, const char *prefix, struct err *e)
{
	if (rpc_tls_is_off(t))
		return 0;
	if (!t->cert || !t->key)
		return err_set(e, EINVAL, "%s: TLS needs both cert and key%s", prefix,
			       t->ca ? ", beside caCert" : "");
	return check_files(t, prefix, e);
}

int rpc_tls_check_client(const struct rpc_tls *t, const char *prefix, struct err *e)
{
	if (rpc_tls_is_off(t) && (!t || !t->server_name))
		return 0;
	if (!t->ca)
		return err_set(
			e, EINVAL,
			"%s.caCert is missing: without it there is no TLS, and cert, key and "
			"serverName have no effect",
			prefix);
	if (!t->cert != !t->key)
		return err_set(e, EINVAL,
			       "%s: a certificate needs its key, and the other way round", prefix);
	return check_files(t, prefix, e);
}
