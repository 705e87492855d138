/* The child's side of the TCP piece protocol (format: daemon/vortex.h). Blocking, for fetch
 * workers. */
#ifndef DAEMON_PIECE_CLIENT_H
#define DAEMON_PIECE_CLIENT_H

#include "base/net.h"
#include "daemon/vortex.h"

struct piece_client; /* keeps idle connections to parents that allow it (other Skimmer daemons) */

struct piece_client *piece_client_new(void);
void piece_client_free(struct piece_client *c);

/* What is asked for. */
struct piece_ask {
	const char *task_id;
	uint32_t number;
	uint64_t offset, length;
	bool urgent;	       /* a reader waits for it: a Skimmer parent serves it before others */
	uint32_t block_length; /* the parent may send it by blocks of this length; 0 = in order */
	unsigned first_block;  /* ... beginning with this one */
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
	char parent_id[256];	     /* whom the parent had it from, may be "" */
	struct vortex_blocks blocks; /* how it comes, though asked for by blocks maybe in order */
};

typedef int (*piece_sink)(void *arg, const void *data, size_t len, struct err *e);

/* Asks addr for one piece and streams exactly ask->length bytes into sink: from the first block to
 * the end and then from the start, if it comes by blocks. The head is checked against what was
 * asked for before any byte is taken (EPROTO), and *head_out is set by then. ENOENT: the parent has
 * not got it; EOPNOTSUPP: it finds the question wrong; ECONNREFUSED, ETIMEDOUT, ECANCELED, EPROTO
 * (short, garbage). */
must_check int piece_client_fetch(struct piece_client *c, const struct net_addr *addr,
				  const struct piece_ask *ask, struct piece_head *head_out,
				  piece_sink sink, void *arg, struct err *e);

#endif
