/* What the parts of the proxy share; no one else includes it. */
#ifndef DAEMON_PROXY_PRIVATE_H
#define DAEMON_PROXY_PRIVATE_H

#include "base/bucket.h"
#include "base/door.h"
#include "daemon/errand.h"
#include "daemon/manifests.h"
#include "daemon/proxy.h"

#define ERROR_BACKEND  "X-Dragonfly-Error-Type: backend\r\n"
#define ERROR_PROXY    "X-Dragonfly-Error-Type: proxy\r\n"
#define ERROR_DFDAEMON "X-Dragonfly-Error-Type: dfdaemon\r\n"

struct intercept;
struct pattern;
struct pool;
struct rules;

struct proxy {
	struct proxy_config config;
	struct tasks *tasks;
	struct relay *relay;
	struct door *door;
	struct rules *rules;
	struct manifests *manifests;
	struct intercept *intercept; /* NULL: no host is intercepted */
	struct pool *pool;	     /* names to resolve, manifests to read */
	struct pool *files;	     /* X-Dragonfly-Output-Path */
	bool stopping;		     /* atomic */
	struct bucket requests;
	char via[32]; /* our word in Via, to see our own requests again */
};

/* Answers a request whose url is known by P2P; x is taken. What P2P cannot serve is relayed, unless
 * back-to-source is disabled. */
void task_answer_start(struct proxy *p, struct door_conn *c, struct errand *x);
/* Passes the request on; x is taken. */
void relay_answer_start(struct proxy *p, struct door_conn *c, struct errand *x);

/* A request that we could not answer as asked. */
void proxy_count_failure(void);
/* One request in origin-form; x (without url) is taken. */
void mirror_request(struct proxy *p, struct door_conn *c, struct errand *x);
/* Sends x (with url) by P2P or relay, as the rules and its headers say; x is taken. */
void proxy_route(struct proxy *p, struct door_conn *c, struct errand *x);
/* False, and answered: the URL may not be reached (508 ourselves, 403 forbidden address, 400). */
bool proxy_may_reach(struct proxy *p, struct door_conn *c, const char *url);
bool proxy_is_self(const struct proxy *p, const struct door_conn *c, const char *host,
		   uint16_t port);

/* CONNECT to host:port: a tunnel. */
void tunnel_request(struct proxy *p, struct door_conn *c, const char *host, uint16_t port);

/* NULL in *out: nothing to intercept. EINVAL: a pattern or the CA. */
must_check int intercept_new(const struct proxy_config *config, struct intercept **out,
			     struct err *e);
void intercept_free(struct intercept *i);
bool intercept_wants(const struct intercept *i, const char *host);
/* Answers a CONNECT; what comes then is TLS that ends here. */
void intercept_request(struct intercept *i, struct door_conn *c, const char *host, uint16_t port);

#endif
