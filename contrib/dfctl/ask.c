/* Questions by libcurl and gRPC. */
#include "contrib/dfctl/ask.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "proto/rpc.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define BODY_MAX (8u << 20)

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct told *t = arg;

	buf_append(&t->body, data, size * count);
	return t->body.overflow ? 0 : size * count;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	static const char name[] = "date:";
	struct told *t = arg;
	size_t len = size * count;

	if (len > sizeof(name) && strncasecmp(data, name, sizeof(name) - 1) == 0) {
		char *value cleanup(free_at) =
			mem_strndup(data + sizeof(name) - 1, len - sizeof(name) + 1);
		time_t at = curl_getdate(value, NULL);

		t->date_ms = at > 0 ? (int64_t)at * 1000 : 0;
	}
	return len;
}

static struct curl_slist *headers_of(const struct ask *a)
{
	struct curl_slist *list = NULL;

	if (a->token) {
		char *line cleanup(free_at) = mem_printf("Authorization: Bearer %s", a->token);

		list = curl_slist_append(list, line);
	}
	if (a->body)
		list = curl_slist_append(list, "Content-Type: application/json");
	return list;
}

static void set_tls(CURL *h, const struct ask *a)
{
	if (a->ca)
		curl_easy_setopt(h, CURLOPT_CAINFO, a->ca);
	if (a->cert)
		curl_easy_setopt(h, CURLOPT_SSLCERT, a->cert);
	if (a->key)
		curl_easy_setopt(h, CURLOPT_SSLKEY, a->key);
	if (a->any_certificate) {
		curl_easy_setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

int ask_http(const struct ask *a, struct told *out, struct err *e)
{
	char why[CURL_ERROR_SIZE] = "";
	struct curl_slist *headers = headers_of(a), *instead = NULL;
	CURL *h = curl_easy_init();
	long status = 0;
	CURLcode code;

	*out = (struct told){.body = BUF_INIT(BODY_MAX)};
	curl_easy_setopt(h, CURLOPT_URL, a->url);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)a->timeout_ms);
	curl_easy_setopt(h, CURLOPT_CONNECT_ONLY, a->connect_only ? 1L : 0L);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, why);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, out);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, out);
	if (a->body)
		curl_easy_setopt(h, CURLOPT_POSTFIELDS, a->body);
	if (a->method)
		curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, a->method);
	if (a->connect_to) {
		char *line cleanup(free_at) = mem_printf("::%s", a->connect_to);

		instead = curl_slist_append(NULL, line);
		curl_easy_setopt(h, CURLOPT_CONNECT_TO, instead);
	}
	set_tls(h, a);
	code = curl_easy_perform(h);
	curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(h);
	curl_slist_free_all(headers);
	curl_slist_free_all(instead);
	out->status = (int)status;
	out->untrusted = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
	out->not_tls = code == CURLE_SSL_CONNECT_ERROR;
	if (code == CURLE_OK)
		return 0;
	/* Curl's own words say it all. */
	return err_set(e, EPROTO, "%s", *why ? why : curl_easy_strerror(code));
}

void told_release(struct told *t)
{
	buf_release(&t->body);
}

int ask_rpc(const char *socket, const char *path, const ProtobufCMessage *rq,
	    const ProtobufCMessageDescriptor *type, int64_t timeout_ms, ProtobufCMessage **out,
	    struct err *e)
{
	char *target cleanup(free_at) = mem_printf("unix:%s", socket);
	struct rpc_channel *ch = rpc_channel_new(target, NULL);
	int r = rpc_unary(ch, path, rq, type, timeout_ms, out, NULL, e);

	rpc_channel_free(ch);
	return r;
}

int ask_health(const char *target, const struct rpc_tls *tls, int64_t timeout_ms, struct err *e)
{
	struct rpc_channel *ch = rpc_channel_new(target, tls);
	int r = rpc_check_health(ch, timeout_ms, e);

	rpc_channel_free(ch);
	return r;
}

int ask_pid(const char *socket, pid_t *out, struct err *e)
{
	char *name cleanup(free_at) = mem_printf("unix:%s", socket);
	int fd cleanup(close_at) = -1;
	struct net_addr addr;
	struct ucred who = {0};
	socklen_t len = sizeof(who);
	int r = net_resolve(name, 0, &addr, e);

	if (r == 0)
		r = net_connect(&addr, clock_ms() + 2000, &fd, e);
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return err_set(e, errno, "%s", socket);
	*out = who.pid;
	return 0;
}
