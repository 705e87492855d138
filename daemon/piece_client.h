/* The child's side of the TCP piece protocol (format: daemon/vortex.h). Blocking, for fetch
 * workers. */
#ifndef DAEMON_PIECE_CLIENT_H
#define DAEMON_PIECE_CLIENT_H

#include "base/net.h"

struct piece_client; /* keeps idle connections to parents that allow it (other Skimmer daemons) */

struct piece_client *piece_client_new(void);
void piece_client_free(struct piece_client *c);

/* What is asked for. */
struct piece_ask {
	const char *task_id;
	uint32_t number;
	uint64_t offset, length;
	bool urgent;	       /* a reader waits for it: a Skimmer parent serves it before others */
	int64_t deadline_ms;   /* 0 = none */
	int64_t stall_ms;      /* no byte for so long is ETIMEDOUT; 0 = any time */
	const bool *cancelled; /* may be NULL */
};

/* What the parent said. */
struct piece_head {
	uint32_t number;
	uint64_t offset, length;
	bool has_crc32;
	uint32_t crc32;
	char parent_id[256]; /* whom the parent had it from, may be "" */
};

typedef int (*piece_sink)(void *arg, const void *data, size_t len, struct err *e);

/* Asks addr for one piece and streams exactly ask->length bytes into sink. The head is checked
 * against what was asked for before any byte is taken (EPROTO). ENOENT: the parent has not got it;
 * ECONNREFUSED, ETIMEDOUT, ECANCELED, EPROTO (short, garbage). */
must_check int piece_client_fetch(struct piece_client *c, const struct net_addr *addr,
				  const struct piece_ask *ask, struct piece_head *head_out,
				  piece_sink sink, void *arg, struct err *e);

#endif
