/*
 * One X509 store for all connections: curl would read the system's bundle (some 140 certificates,
 * 4 MB once parsed) again for every connection, and cannot add to it.
 */
#include "daemon/transport.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <string.h>

struct transport {
	X509_STORE *roots; /* NULL = certificates are not checked */
	int64_t connect_timeout_ms;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_ALL);
}

static int load_roots(struct transport *t, const char *ca_file, struct err *e)
{
	t->roots = X509_STORE_new();
	if (!t->roots)
		abort();
	if (X509_STORE_set_default_paths(t->roots) != 1)
		log_warn("the system's certificates cannot be loaded", NULL);
	if (ca_file && X509_STORE_load_locations(t->roots, ca_file, NULL) != 1) {
		ERR_clear_error();
		return err_blame(
			e, "SK230",
			err_set(e, EINVAL, "%s: no certificate can be read from it", ca_file));
	}
	ERR_clear_error();
	return 0;
}

int transport_new(const struct origin_config *c, struct transport **out, struct err *e)
{
	struct transport *t;

	pthread_once(&curl_once, init_curl);
	t = mem_new(struct transport);
	t->connect_timeout_ms = c->connect_timeout_ms ? c->connect_timeout_ms : 5000;
	if (!c->insecure_skip_verify) {
		int r = load_roots(t, c->ca_file, e);

		if (r < 0) {
			transport_free(t);
			return r;
		}
	}
	*out = t;
	return 0;
}

void transport_free(struct transport *t)
{
	if (!t)
		return;
	X509_STORE_free(t->roots);
	free(t);
}

static CURLcode use_roots(CURL *easy, void *ssl_ctx, void *arg)
{
	const struct transport *t = arg;

	(void)easy;
	SSL_CTX_set1_cert_store(ssl_ctx, t->roots);
	return CURLE_OK;
}

/* The address that will really be connected to: covers redirects and names that change. */
curl_socket_t transport_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	bool *refused = arg;
	char ip[INET6_ADDRSTRLEN] = "";

	(void)purpose;
	if (a->family == AF_INET) {
		inet_ntop(AF_INET, &((struct sockaddr_in *)&a->addr)->sin_addr, ip, sizeof(ip));
	} else if (a->family == AF_INET6) {
		const struct in6_addr *v6 = &((struct sockaddr_in6 *)&a->addr)->sin6_addr;

		if (IN6_IS_ADDR_V4MAPPED(v6))
			inet_ntop(AF_INET, v6->s6_addr + 12, ip, sizeof(ip));
		else
			inet_ntop(AF_INET6, v6, ip, sizeof(ip));
	}
	if (!ip[0] || net_ip_is_forbidden(ip)) {
		*refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

void transport_apply(const struct transport *t, CURL *easy, bool *refused)
{
	*refused = false;
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)t->connect_timeout_ms);
	/* A name server that does not answer must not hold up who gives up. */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, transport_open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, refused);
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, t->roots ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, t->roots ? 2L : 0L);
	curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	if (t->roots) {
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, use_roots);
		curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, t);
	}
}

int transport_error(CURLcode code, bool refused, const char *detail, const char *what,
		    bool *retryable_out, struct err *e)
{
	const char *why = detail && detail[0] ? detail : curl_easy_strerror(code);

	*retryable_out = false;
	if (refused)
		return err_set(e, EACCES, "%s: its address may not be reached", what);
	switch (code) {
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CIPHER:
		return err_blame(e, "SK230", err_set(e, EHOSTUNREACH, "%s: %s", what, why));
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_OPERATION_TIMEDOUT: /* only connecting has a time limit of curl's own */
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
		*retryable_out = true;
		return err_blame(e, "SK231", err_set(e, EHOSTUNREACH, "%s: %s", what, why));
	case CURLE_PARTIAL_FILE:
		*retryable_out = true;
		return err_set(e, EPROTO, "%s: the body ended early", what);
	default:
		return err_set(e, EPROTO, "%s: %s", what, why);
	}
}
