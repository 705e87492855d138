/*
 * The parent's side of the TCP piece protocol (format: daemon/vortex.h): serves the verified pieces
 * of the store to children by sendfile. Epoll loops, no thread per connection.
 *
 * A piece that is not verified here and now is answered "not found" at once; asking starts nothing.
 * One that comes, whose blocks are compared as they do, is passed on to who asks by blocks
 * (docs/adr/0014-pieces-passed-on-as-they-come.md).
 * A host that does not share (host_config) has none for anybody.
 * What a child's reader waits for goes before the rest (docs/adr/0003-urgent-requests.md).
 * Connections stay open after an answer (docs/adr/0002-kept-piece-connections.md).
 * A child that asks by blocks gets the block that it wants first, and the digests of all
 * (docs/adr/0006-part-of-piece-reads.md).
 */
#ifndef DAEMON_PIECE_SERVER_H
#define DAEMON_PIECE_SERVER_H

#include "daemon/host.h"
#include "daemon/store.h"

struct piece_server;

struct piece_server_config {
	const char *ip;		   /* NULL = any */
	uint16_t port;		   /* 0 = the system picks */
	unsigned loops;		   /* threads; 0 = 2 */
	unsigned connections_max;  /* 0 = 16,384; beyond it the longest idle one is closed */
	uint64_t bandwidth;	   /* bytes per second of all children, 0 = unlimited */
	int64_t header_timeout_ms; /* a request must be whole within it; 0 = 5 s */
	int64_t idle_timeout_ms;   /* between requests; 0 = 60 s */
	int64_t write_timeout_ms;  /* a child that takes no byte for so long is left; 0 = 60 s */
	int64_t stuck_ms;	   /* ... is not counted as being sent something; 0 = 2 s */
};

/* store and host: borrowed for its life. */
must_check int piece_server_new(const struct piece_server_config *c, struct store *store,
				struct host *host, struct piece_server **out, struct err *e);
/* Closes every connection and joins. NULL is fine. */
void piece_server_free(struct piece_server *s);
uint16_t piece_server_port(const struct piece_server *s);

struct piece_server_stat {
	uint64_t accepted, open; /* connections */
	uint64_t pieces, bytes;	 /* sent whole; of content */
	uint64_t by_blocks;	 /* begun, of pieces */
	uint64_t passed_on;	 /* ... of which not all was here */
	uint64_t not_found;
	uint64_t failed;	     /* pieces that broke off: the child left, or our disk failed */
	uint64_t garbage;	     /* requests that were none */
	uint64_t timed_out, refused; /* connections: header or write deadline; too many */
};
void piece_server_stat(const struct piece_server *s, struct piece_server_stat *out);

#endif
