/*
 * The proxy's door: who may come in, what the request is, and which way it goes. Requests in
 * absolute-form are handled here; the mirror, tunnels and answers have files of their own.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/net.h"
#include "base/pool.h"
#include "base/url.h"
#include "daemon/proxy_private.h"
#include "daemon/rules.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define MANIFEST_BYTES_MAX (16u << 20)
#define POOL_THREADS	   8
#define POOL_QUEUE	   1024
#define FILES_THREADS	   2
#define FILES_QUEUE	   64
#define CREDENTIALS_MAX	   512

static const struct metric_family requests = {
	METRIC_COUNTER, "dragonfly_client_proxy_request_total", "Requests to the proxy.", NULL};
static const struct metric_family failures = {
	METRIC_COUNTER, "dragonfly_client_proxy_request_failure_total",
	"Requests to the proxy that it refused or could not answer.", NULL};

void proxy_count_failure(void)
{
	metric_add(metric_get(&failures), 1);
}

/* ---- who may come in */

enum credentials { CREDENTIALS_NONE, CREDENTIALS_OTHER, CREDENTIALS_RIGHT, CREDENTIALS_MALFORMED };

/* Compares without telling by time how much of it was right. */
static bool texts_equal(const char *a, const char *b)
{
	char x[DIGEST_HEX_LEN + 1], y[DIGEST_HEX_LEN + 1];

	sha256_hex(a, strlen(a), x);
	sha256_hex(b, strlen(b), y);
	return CRYPTO_memcmp(x, y, DIGEST_HEX_LEN) == 0;
}

/* The value of Authorization or Proxy-Authorization against the configured user. */
static enum credentials check_basic(const struct proxy *p, const char *value)
{
	unsigned char plain[CREDENTIALS_MAX + 3];
	cleanup(free_at) char *want = NULL;
	size_t len;
	int n;

	if (!value)
		return CREDENTIALS_NONE;
	if (strncasecmp(value, "Basic ", 6) != 0)
		return CREDENTIALS_OTHER;
	value += 6;
	len = strlen(value);
	if (len == 0 || len % 4 || len / 4 * 3 > CREDENTIALS_MAX)
		return CREDENTIALS_MALFORMED;
	n = EVP_DecodeBlock(plain, (const unsigned char *)value, (int)len);
	if (n < 0)
		return CREDENTIALS_MALFORMED;
	plain[n] = 0;
	if (!strchr((const char *)plain, ':'))
		return CREDENTIALS_MALFORMED;
	want = mem_printf("%s:%s", p->config.username, p->config.password);
	return texts_equal((const char *)plain, want) ? CREDENTIALS_RIGHT : CREDENTIALS_OTHER;
}

/*
 * Dragonfly looks at Authorization and answers 401; proxies elsewhere look at Proxy-Authorization
 * and answer 407. Both are understood: what a proxy's client sends decides. *used_out names the
 * header that was ours and is not the origin's business.
 */
static bool let_in(struct proxy *p, struct door_conn *c, const char **used_out)
{
	const struct http_head *head = door_head(c);
	const char *proxy_value = http_header_get(head, "Proxy-Authorization");
	bool mirror = head->target[0] == '/';
	enum credentials given;

	*used_out = NULL;
	/* What is inside of an intercepted CONNECT came in with it. */
	if (!p->config.username || door_base(c))
		return true;
	given = check_basic(p, proxy_value ? proxy_value : http_header_get(head, "Authorization"));
	if (given == CREDENTIALS_RIGHT) {
		*used_out = proxy_value ? NULL : "Authorization";
		return true;
	}
	proxy_count_failure();
	if (given == CREDENTIALS_MALFORMED)
		door_reply(c, 400, ERROR_PROXY, "malformed credentials");
	else if (mirror && !proxy_value)
		door_reply(c, 401, ERROR_PROXY "WWW-Authenticate: Basic realm=\"dfdaemon\"\r\n",
			   "this mirror asks for a user and password");
	else
		door_reply(c, 407, ERROR_PROXY "Proxy-Authenticate: Basic realm=\"dfdaemon\"\r\n",
			   "this proxy asks for a user and password");
	return false;
}

/* ---- where it may go */

bool proxy_is_self(const struct proxy *p, const struct door_conn *c, const char *host,
		   uint16_t port)
{
	if (port != door_port(door_of(c)))
		return false;
	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	       strncmp(host, "127.", 4) == 0 ||
	       (p->config.own_ip && strcmp(host, p->config.own_ip) == 0) ||
	       (p->config.hostname && strcasecmp(host, p->config.hostname) == 0);
}

/* A request that has our own word in its Via came from us. */
static bool has_our_via(const struct proxy *p, const struct http_head *head)
{
	for (unsigned i = 0; i < head->header_count; i++)
		if (strcasecmp(head->headers[i].name, "Via") == 0 &&
		    strstr(head->headers[i].value, p->via))
			return true;
	return false;
}

bool proxy_may_reach(struct proxy *p, struct door_conn *c, const char *url)
{
	cleanup(url_release) struct url u = {0};
	struct net_addr literal;
	struct err e;

	if (url_parse(url, &u, &e) < 0) {
		door_reply(c, 400, ERROR_PROXY, e.text);
		return false;
	}
	if (proxy_is_self(p, c, u.host, u.port) || has_our_via(p, door_head(c))) {
		door_reply(c, 508, ERROR_PROXY, "the request leads back to this proxy");
		return false;
	}
	/* Names are checked when they are resolved, by who connects. */
	if (net_addr_parse(u.host, u.port, &literal) && net_ip_is_forbidden(u.host)) {
		door_reply(c, 403, ERROR_PROXY,
			   "this address may not be reached through the proxy");
		return false;
	}
	return true;
}

void proxy_route(struct proxy *p, struct door_conn *c, struct errand *x)
{
	const struct config_rule *rule = NULL;
	char *url;
	struct err e;

	if (strcmp(x->method, "GET") == 0 && !x->body_length)
		rule = rules_match(p->rules, x->url);
	if (rule) {
		x->rule = rule->regex;
		if (rules_apply(rule, x->url, &url, &e) < 0) {
			door_reply(c, 500, ERROR_PROXY, e.text);
			errand_free(x);
			return;
		}
		free(x->url);
		x->url = url;
		errand_filter_by(x, &rule->filtered_params);
	} else if (x->use_p2p && strcmp(x->method, "GET") == 0 && !x->body_length) {
		x->rule = "X-Dragonfly-Use-P2P";
	} else {
		relay_answer_start(p, c, x);
		return;
	}
	if (proxy_may_reach(p, c, x->url))
		task_answer_start(p, c, x);
	else
		errand_free(x);
}

/* ---- what it is */

static void connect_request(struct proxy *p, struct door_conn *c)
{
	const struct http_head *head = door_head(c);
	cleanup(free_at) char *url = mem_printf("https://%s/", head->target);
	cleanup(url_release) struct url u = {0};
	struct err e;

	if (url_parse(url, &u, &e) < 0 || door_base(c) || door_has_body(c))
		door_reply(c, 400, ERROR_PROXY, "CONNECT asks for host:port");
	else if (proxy_is_self(p, c, u.host, u.port) || has_our_via(p, head))
		door_reply(c, 508, ERROR_PROXY, "the tunnel leads back to this proxy");
	else if (p->intercept && intercept_wants(p->intercept, u.host))
		intercept_request(p->intercept, c, u.host, u.port);
	else
		tunnel_request(p, c, u.host, u.port);
}

static void forward_request(struct proxy *p, struct door_conn *c, struct errand *x)
{
	const char *target = door_head(c)->target, *base = door_base(c);

	x->url = base && target[0] == '/' ? mem_printf("%s%s", base, target) : mem_strdup(target);
	if (proxy_may_reach(p, c, x->url))
		proxy_route(p, c, x);
	else
		errand_free(x);
}

static void handle(struct door_conn *c, void *arg)
{
	struct proxy *p = arg;
	const struct http_head *head = door_head(c);
	const struct errand_defaults defaults = {p->config.prefetch, p->config.blob_digest_id};
	const char *used;
	struct errand *x;
	struct err e;

	metric_add(metric_get(&requests), 1);
	if (!let_in(p, c, &used))
		return;
	if (p->config.requests_per_s && !bucket_try(&p->requests, 1)) {
		proxy_count_failure();
		door_reply(c, 429, ERROR_PROXY "Retry-After: 1\r\n", "too many requests");
		return;
	}
	if (strcmp(head->method, "CONNECT") == 0) {
		connect_request(p, c);
		return;
	}
	if (strcmp(head->target, "*") == 0) {
		door_reply(c, 204, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT\r\n", "");
		return;
	}
	if (errand_new(head, &defaults, used, &x, &e) < 0) {
		door_reply(c, 400, ERROR_PROXY, e.text);
		return;
	}
	errand_add_header(x, "Via", p->via);
	if (head->target[0] == '/' && !door_base(c))
		mirror_request(p, c, x);
	else
		forward_request(p, c, x);
}

/* ---- life */

static void make_via(struct proxy *p)
{
	uint64_t random = (uint64_t)clock_us();

	(void)!getrandom(&random, sizeof(random), 0);
	snprintf(p->via, sizeof(p->via), "1.1 skimmer-%016llx", (unsigned long long)random);
}

static int open_door(struct proxy *p, struct err *e)
{
	const struct door_config config = {
		.name = "proxy",
		.ip = p->config.ip,
		.port = p->config.port,
		.loops = p->config.loops ? p->config.loops : 2,
		.connections_max = p->config.connections_max,
		.refusal_headers = ERROR_PROXY,
		.request = handle,
		.arg = p,
	};

	return door_new(&config, &p->door, e);
}

int proxy_new(const struct proxy_config *config, struct tasks *tasks, struct relay *relay,
	      struct proxy **out, struct err *e)
{
	struct proxy *p = mem_new(struct proxy);
	int r;

	metric_add(metric_get(&requests), 0);
	metric_add(metric_get(&failures), 0);
	p->config = *config;
	p->tasks = tasks;
	p->relay = relay;
	make_via(p);
	/* A second's worth at once: runtimes ask in bursts. */
	bucket_init(&p->requests, config->requests_per_s, config->requests_per_s);
	p->manifests = manifests_new(MANIFEST_BYTES_MAX);
	p->pool = pool_new("proxy-work", POOL_THREADS, POOL_QUEUE);
	p->files = pool_new("proxy-files", FILES_THREADS, FILES_QUEUE);
	r = rules_new(config->rules, config->rule_count, &p->rules, e);
	if (r == 0)
		r = intercept_new(config, &p->intercept, e);
	if (r == 0)
		r = open_door(p, e);
	if (r < 0) {
		proxy_free(p);
		return r;
	}
	*out = p;
	return 0;
}

uint16_t proxy_port(const struct proxy *p)
{
	return door_port(p->door);
}

void proxy_free(struct proxy *p)
{
	if (!p)
		return;
	__atomic_store_n(&p->stopping, true, __ATOMIC_RELAXED);
	door_free(p->door);
	pool_free(p->pool);
	pool_free(p->files);
	intercept_free(p->intercept);
	rules_free(p->rules);
	manifests_free(p->manifests);
	bucket_release(&p->requests);
	free(p);
}
