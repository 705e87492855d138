/*
 * A door: an HTTP/1.1 server on one or a few loops. Thousands of connections wait on a loop, none
 * holds a thread. A connection answers one request at a time; what a client pipelines waits in its
 * socket.
 *
 * Everything of a connection happens on its loop's thread: the callbacks here are called there, and
 * the functions must be called there. Who gets an answer elsewhere (a waiter, the relay) posts a
 * job to door_loop() and goes on in it. The functions only queue: no callback is called from inside
 * them, and a connection that has gone says so by gone() and nothing else.
 *
 * Deadlines: idle between requests; from a head's first byte to its last; without progress while
 * something is being sent or a body is being read. A handler that makes a client wait has deadlines
 * of its own. A client that goes away while it waits is noticed at once; one that only ends its own
 * direction counts as gone too.
 */
#ifndef BASE_DOOR_H
#define BASE_DOOR_H

#include "base/buf.h"
#include "base/err.h"
#include "base/http.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct door;
struct door_conn;
struct door_tls;

struct door_config {
	const char *name;	  /* of its threads, at most 8 characters */
	const char *ip;		  /* NULL = any */
	uint16_t port;		  /* 0 = the system picks */
	unsigned loops;		  /* 0 = 1 */
	unsigned connections_max; /* 0 = 16384; past it the longest idle one is closed */
	int64_t idle_timeout_ms;  /* 0 = 90 s */
	int64_t head_timeout_ms;  /* 0 = 10 s */
	int64_t stall_timeout_ms; /* 0 = 60 s */
	/* Every connection begins with TLS (base/door_tls.h); who speaks plain HTTP is told so by a
	 * 400. The caller's, longer than the door. NULL = plain. */
	struct door_tls *tls;
	/* "Name: value\r\n" lines of the answers to what is no good HTTP; NULL = none. */
	const char *refusal_headers;
	/* A request: must answer with door_reply(), or door_take() it and answer at any later time.
	 */
	void (*request)(struct door_conn *c, void *arg);
	void *arg;
};

/* *out serves when this returns. EADDRINUSE, EACCES, ... */
must_check int door_new(const struct door_config *config, struct door **out, struct err *e);
uint16_t door_port(const struct door *d);
/* Closes all connections (each call hears gone()), waits until every hold is released, then stops
 * the loops. NULL is fine. */
void door_free(struct door *d);
/* While held, the loops run: for state that waits for something beyond its connection. Any thread.
 */
void door_hold(struct door *d);
void door_release(struct door *d);

/* Who answers a request; embedded in its state. Another may take over by door_take(). */
struct door_call {
	/* All that was queued has gone out: the place to queue more. */
	void (*drained)(struct door_call *call);
	/* Some of the request's body after door_want_body(); len 0 = its end. NULL: never wanted.
	 */
	void (*body)(struct door_call *call, const char *data, size_t len);
	/* The last: the answer is out (whole), or the connection has gone. c is not to be touched
	 * any more; the call's memory is its owner's. */
	void (*gone)(struct door_call *call, bool whole);
};

struct loop *door_loop(const struct door_conn *c);
struct door *door_of(const struct door_conn *c);
const struct http_head *door_head(const struct door_conn *c);
/* The client's literal IP. */
const char *door_peer(struct door_conn *c);
/* "https://host" of an intercepted connection (door_upgrade()), NULL on others. */
const char *door_base(const struct door_conn *c);
void door_take(struct door_conn *c, struct door_call *call);

/*
 * The answer's head. headers: "Name: value\r\n" lines, without Content-Length, Transfer-Encoding
 * and Connection; Date is added if it is missing. length -1: unknown, sent chunked (HTTP/1.0: until
 * the end of the connection). The body of a HEAD, 204 or 304 is dropped.
 */
void door_respond(struct door_conn *c, int status, const char *headers, int64_t length);
/* Queues bytes (copied) or a part of a file (fd and its bytes must stay until drained()). One file
 * part at a time. More than the length is a broken answer: the connection is closed. */
void door_send(struct door_conn *c, const void *data, size_t len);
void door_send_file(struct door_conn *c, int fd, uint64_t off, uint64_t len);
/* The answer is queued as a whole. Fewer bytes than the length: as door_abort(). */
void door_end(struct door_conn *c);
/* The answer cannot be finished: closes the connection so that the client sees it is not whole. */
void door_abort(struct door_conn *c);
/* A whole answer: respond, send, end. */
void door_reply(struct door_conn *c, int status, const char *headers, const char *body);
/* Asks for the next part of the request's body. */
void door_want_body(struct door_conn *c);
bool door_has_body(const struct door_conn *c);

/* ---- connections that become something else (CONNECT) */

/* Lends the descriptor out: the door neither reads nor writes it any more; *early gets the bytes
 * that came behind the head. The call's gone() comes when the door closes, then the descriptor is
 * not to be used any more; otherwise it ends with door_give_back(), which closes it. */
int door_lend(struct door_conn *c, struct buf *early);
void door_give_back(struct door_conn *c);

/* How a connection's bytes travel: plain (door_conn.c) or through TLS (door_tls.c). Results: bytes
 * (> 0), 0 the end (read only), -EAGAIN with *wait set to EPOLLIN or EPOLLOUT, or -errno. */
struct door_stream {
	ssize_t (*read)(void *arg, void *data, size_t len, uint32_t *wait);
	ssize_t (*write)(void *arg, const void *data, size_t len, bool more, uint32_t *wait);
	ssize_t (*write_file)(void *arg, int fd, uint64_t off, size_t len, uint32_t *wait);
	void (*close)(void *arg); /* says goodbye, frees arg; the descriptor stays open */
};
/* Instead of a reply to CONNECT: says 200, then goes on over the new stream, with door_base() =
 * base (copied). arg is the connection's from now on. EPROTO (arg is closed, the connection too):
 * the client did not wait for the 200. */
void door_upgrade(struct door_conn *c, const char *base, const struct door_stream *stream,
		  void *arg);
int door_fd(const struct door_conn *c);

#endif
