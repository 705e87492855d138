/*
 * Inside of a CONNECT: for hosts that the configuration names, TLS ends here, with a certificate
 * made for that host and signed by a CA that the clients were told to trust. What comes through is
 * then an HTTP request like any other.
 *
 * The CA is the configured one, or made at first start and kept in <cache dir>/proxy-ca.pem (key
 * and certificate, 0600); proxy-ca.crt beside it is for the clients. All leaves share one P-256
 * key, made at start, never written; certificates are kept for a while, by host.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"
#include "daemon/authority.h"
#include "daemon/pattern.h"
#include "daemon/proxy_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FILE_PART (16u << 10) /* a TLS record */

struct intercept {
	struct pattern **patterns;
	size_t pattern_count;
	struct authority *authority;
	SSL_CTX *tls;
};

/* ---- the stream */

/* What OpenSSL says, as struct door_stream says it. */
static ssize_t tls_result(SSL *ssl, int r, uint32_t *wait)
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
	return r > 0 ? r : tls_result(arg, r, wait);
}

static ssize_t tls_write(void *arg, const void *data, size_t len, bool more, uint32_t *wait)
{
	int r;

	(void)more;
	ERR_clear_error();
	r = SSL_write(arg, data, len > INT32_MAX ? INT32_MAX : (int)len);
	return r > 0 ? r : tls_result(arg, r, wait);
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

static const struct door_stream tls_stream = {tls_read, tls_write, tls_write_file, tls_close};

/* ---- which hosts, and who signs */

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

static int make_tls(struct intercept *i, struct err *e)
{
	i->tls = SSL_CTX_new(TLS_server_method());
	if (!i->tls || !SSL_CTX_set_min_proto_version(i->tls, TLS1_2_VERSION))
		return err_set(e, EINVAL, "OpenSSL cannot serve TLS");
	SSL_CTX_set_options(i->tls, SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(i->tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					 SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(i->tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(i->tls, choose_protocol, NULL);
	return 0;
}

static int compile(struct intercept *i, const struct config_strings *hosts, struct err *e)
{
	i->patterns = mem_array(hosts->count, sizeof(struct pattern *));
	for (; i->pattern_count < hosts->count; i->pattern_count++)
		if (pattern_new(hosts->items[i->pattern_count], &i->patterns[i->pattern_count], e) <
		    0)
			return err_wrap(e, "proxy.intercept");
	return 0;
}

int intercept_new(const struct proxy_config *config, struct intercept **out, struct err *e)
{
	struct intercept *i;
	int r;

	*out = NULL;
	if (!config->intercept || !config->intercept->count)
		return 0;
	i = mem_new(struct intercept);
	r = compile(i, config->intercept, e);
	if (r == 0)
		r = authority_open(config->ca_cert, config->ca_key, config->cache_dir,
				   &i->authority, e);
	if (r == 0)
		r = make_tls(i, e);
	if (r < 0) {
		intercept_free(i);
		return r;
	}
	*out = i;
	return 0;
}

void intercept_free(struct intercept *i)
{
	if (!i)
		return;
	for (size_t n = 0; n < i->pattern_count; n++)
		pattern_free(i->patterns[n]);
	free(i->patterns);
	authority_free(i->authority);
	SSL_CTX_free(i->tls);
	free(i);
}

bool intercept_wants(const struct intercept *i, const char *host)
{
	for (size_t n = 0; n < i->pattern_count; n++)
		if (pattern_matches(i->patterns[n], host))
			return true;
	return false;
}

void intercept_request(struct intercept *i, struct door_conn *c, const char *host, uint16_t port)
{
	bool v6 = net_ip_is_v6(host);
	cleanup(free_at) char *base = NULL;
	SSL *ssl = SSL_new(i->tls);
	char suffix[8] = "";
	struct err e;

	if (!ssl)
		abort();
	if (authority_sign_for(i->authority, host, ssl, &e) < 0) {
		SSL_free(ssl);
		log_warn("host cannot be intercepted", "host=%s why=\"%s\"", host, e.text);
		door_reply(c, 502, ERROR_PROXY, "no certificate could be made for this host");
		return;
	}
	SSL_set_fd(ssl, door_fd(c));
	SSL_set_accept_state(ssl);
	if (port != 443)
		snprintf(suffix, sizeof(suffix), ":%u", port);
	base = mem_printf("https://%s%s%s%s", v6 ? "[" : "", host, v6 ? "]" : "", suffix);
	door_upgrade(c, base, &tls_stream, ssl);
}
