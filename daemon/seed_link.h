/*
 * A seed's tie to the manager: tells it that the seed is there (UpdateSeedPeer), that it lives
 * (KeepAlive), and that it leaves (DeleteSeedPeer), so that the manager lists it in a seed peer
 * cluster. A manager that is away, or has no such cluster, changes nothing: it is asked again, with
 * back-off.
 *
 * Must not know: which schedulers there are. They hear of the seed by AnnounceHost, as of any host.
 */
#ifndef DAEMON_SEED_LINK_H
#define DAEMON_SEED_LINK_H

#include "daemon/host.h"
#include "proto/rpc_tls.h"

struct seed_link;

struct seed_link_config {
	const char *addr;	   /* "host:port", "http://" in front is allowed */
	const struct rpc_tls *tls; /* NULL = plaintext */
	uint64_t cluster_id;	   /* of the manager's seed peer clusters */
	int64_t keep_alive_ms;
};

/* host: borrowed for its life. Never blocks. */
struct seed_link *seed_link_new(const struct seed_link_config *c, struct host *host);
/* Takes the seed out of the manager's list; waits for a manager that does not answer at most 4 s.
 * NULL is fine. */
void seed_link_free(struct seed_link *l);

#endif
