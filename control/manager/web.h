/*
 * The manager's HTTP edge: base/door in front, a few workers behind. A request arrives whole (head
 * and body bounded, each with a deadline), a worker answers it and may block, the door sends the
 * answer. Must not know: routes, people, the database.
 */
#ifndef CONTROL_MANAGER_WEB_H
#define CONTROL_MANAGER_WEB_H

#include "base/buf.h"
#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define WEB_BODY_MAX   (1u << 20)
#define WEB_ANSWER_MAX (64u << 20)

struct door_tls;
struct web;
struct web_feed;

/* Texts are the request's own; NULL where there is none. */
struct web_request {
	char *method, *path, *query; /* path as sent, without the query; starts with '/' */
	char *host, *authorization, *cookie, *origin, *fetch_site, *forwarded_proto, *encodings;
	char peer[INET6_ADDRSTRLEN];
	bool tls; /* came over our own */
	struct buf body;
};

struct web_answer {
	int status;
	struct buf headers; /* "Name: value\r\n" lines, by web_header() */
	struct buf body;
	int file_fd; /* sent instead of the body; -1 = none. Closed by the web */
	uint64_t file_len;
	struct web_feed *feed; /* 200: its events follow, instead of a body; NULL = none */
};

struct web_config {
	const char *ip;	      /* NULL = any */
	uint16_t port;	      /* 0 = the system picks */
	struct door_tls *tls; /* NULL = plain HTTP; longer than the web */
	unsigned workers;
	int64_t body_timeout_ms; /* 0 = 30 s: for all of a body */
	/* On a worker. The answer comes with status 200 and nothing else. */
	void (*answer)(void *arg, const struct web_request *rq, struct web_answer *out);
	void *arg;
};

/* *out serves when this returns. */
must_check int web_new(const struct web_config *config, struct web **out, struct err *e);
uint16_t web_port(const struct web *w);
void web_free(struct web *w);

/* Bytes that cannot stand in a header become '?': nothing said by a client makes a line. */
void web_header(struct web_answer *a, const char *name, const char *fmt, ...) printf_like(3, 4);

#endif
