/*
 * Inside of a CONNECT: for hosts that the configuration names, TLS ends here, with a certificate
 * made for that host and signed by a CA that the clients were told to trust. What comes through is
 * then an HTTP request like any other.
 *
 * The CA is the configured one, or made at first start and kept in <cache dir>/proxy-ca.pem (key
 * and certificate, 0600); proxy-ca.crt beside it is for the clients. All leaves share one P-256
 * key, made at start, never written; certificates are kept for a while, by host.
 */
#include "base/door_tls.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/net.h"
#include "daemon/authority.h"
#include "daemon/pattern.h"
#include "daemon/proxy_private.h"

#include <errno.h>
#include <string.h>

struct intercept {
	struct pattern **patterns;
	size_t pattern_count;
	struct authority *authority;
	SSL_CTX *tls;
};

/* ---- which hosts, and who signs */

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
		r = door_tls_context(&i->tls, e);
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
	door_upgrade(c, base, &door_tls_stream, ssl);
}
