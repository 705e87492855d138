/*
 * The door on 4001: one port that is three things, told apart by the request.
 *
 *	GET /v2/...		 origin-form: the registry mirror (mirror.c)
 *	GET http://host/...	 absolute-form: the forward proxy with rules (here)
 *	CONNECT host:443	 a tunnel (tunnel.c), or what is inside of it (intercept.c)
 *
 * Blobs and what a rule names go through P2P (task_answer.c), everything else is passed on as it is
 * (relay_answer.c).
 */
#ifndef DAEMON_PROXY_H
#define DAEMON_PROXY_H

#include "daemon/config.h"

struct history;
struct proxy;
struct relay;
struct tasks;

/* Texts and lists stay the caller's and must outlive the proxy. NULL and 0 are the defaults. */
struct proxy_config {
	const char *ip; /* any */
	uint16_t port;	/* 0: the system picks */
	unsigned loops; /* 2 */
	unsigned connections_max;
	const char *own_ip, *hostname; /* to see requests that come back to ourselves */
	/* the mirror */
	const char *mirror_addr;		 /* https://index.docker.io */
	const struct config_strings *plain_http; /* "host" or "host:port" spoken to without TLS */
	bool blob_digest_id;
	/* the proxy */
	const struct config_rule *rules;
	size_t rule_count;
	const char *username, *password;
	uint64_t requests_per_s; /* unlimited */
	bool prefetch;		 /* a range makes the whole be fetched */
	bool disable_back_to_source;
	const char *output_dir; /* X-Dragonfly-Output-Path may name files below it; NULL = none */
	/* CONNECT */
	const struct config_strings *intercept; /* regexes of hosts */
	const char *ca_cert, *ca_key;		/* PEM; NULL: one of our own, in cache_dir */
	const char *cache_dir;
	int64_t tunnel_idle_ms;	 /* 10 min */
	struct history *history; /* is told of requests; NULL = nobody */
};

/* Serves when it returns. EADDRINUSE; EINVAL: a rule, a pattern, the CA. */
must_check int proxy_new(const struct proxy_config *config, struct tasks *tasks,
			 struct relay *relay, struct proxy **out, struct err *e);
uint16_t proxy_port(const struct proxy *p);
/* Closes the connections and waits for what they began. Before relay_free() and tasks_free(). NULL
 * is fine. */
void proxy_free(struct proxy *p);

#endif
