/* OpenSSL behind struct door_stream. Its context is shared by all connections; an SSL is one's. */
#include "base/door_tls.h"

#include "base/mem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FILE_PART (16u << 10) /* a TLS record */

struct door_tls {
	SSL_CTX *context;
};

/* ---- the stream */

/* What OpenSSL says, as struct door_stream says it. */
static ssize_t result(SSL *ssl, int r, uint32_t *wait)
{
	int what = SSL_get_error(ssl, r);

	*wait = what == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN;
	switch (what) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return -EAGAIN;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	default:
		return -EPROTO;
	}
}

static ssize_t tls_read(void *arg, void *data, size_t len, uint32_t *wait)
{
	int r;

	ERR_clear_error();
	r = SSL_read(arg, data, (int)len);
	return r > 0 ? r : result(arg, r, wait);
}

static ssize_t tls_write(void *arg, const void *data, size_t len, bool more, uint32_t *wait)
{
	int r;

	(void)more;
	ERR_clear_error();
	r = SSL_write(arg, data, len > INT32_MAX ? INT32_MAX : (int)len);
	return r > 0 ? r : result(arg, r, wait);
}

/* When the socket is full the same bytes are read and encrypted again: OpenSSL wants them so. */
static ssize_t tls_write_file(void *arg, int fd, uint64_t off, size_t len, uint32_t *wait)
{
	char data[FILE_PART];
	ssize_t n = pread(fd, data, len < sizeof(data) ? len : sizeof(data), (off_t)off);

	if (n <= 0)
		return n < 0 ? -errno : 0;
	return tls_write(arg, data, (size_t)n, false, wait);
}

static void tls_close(void *arg)
{
	ERR_clear_error();
	if (SSL_is_init_finished(arg))
		SSL_shutdown(arg);
	SSL_free(arg);
}

const struct door_stream door_tls_stream = {tls_read, tls_write, tls_write_file, tls_close};

/* ---- contexts */

/* A client that only speaks other protocols is told so at once. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len,
			   const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_len, ours, sizeof(ours) - 1, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

int door_tls_context(SSL_CTX **out, struct err *e)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION)) {
		SSL_CTX_free(context);
		return err_set(e, EINVAL, "OpenSSL cannot serve TLS");
	}
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
	*out = context;
	return 0;
}

/* Why OpenSSL did not take a file. */
static int refused(const char *what, const char *file, struct err *e)
{
	unsigned long code = ERR_peek_last_error();
	const char *why = ERR_reason_error_string(code);

	ERR_clear_error();
	return err_set(e, EINVAL, "%s %s: %s", what, file, why ? why : "is not PEM");
}

/* A key with a passphrase would be asked for on a terminal. */
static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out, (void)size, (void)writing, (void)arg;
	return -1;
}

static int load(SSL_CTX *context, const char *cert_file, const char *key_file, struct err *e)
{
	SSL_CTX_set_default_passwd_cb(context, no_passphrase);
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(context, cert_file) != 1)
		return refused("certificate", cert_file, e);
	if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
	    SSL_CTX_check_private_key(context) != 1)
		return refused("key", key_file, e);
	return 0;
}

int door_tls_new(const char *cert_file, const char *key_file, struct door_tls **out, struct err *e)
{
	struct door_tls *t = mem_new(struct door_tls);
	int r = door_tls_context(&t->context, e);

	if (r == 0)
		r = load(t->context, cert_file, key_file, e);
	if (r < 0) {
		door_tls_free(t);
		return r;
	}
	*out = t;
	return 0;
}

void door_tls_free(struct door_tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->context);
	free(t);
}

void *door_tls_accept(struct door_tls *t, int fd)
{
	SSL *ssl = SSL_new(t->context);

	if (!ssl || SSL_set_fd(ssl, fd) != 1)
		abort();
	SSL_set_accept_state(ssl);
	return ssl;
}
