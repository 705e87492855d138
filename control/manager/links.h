/*
 * Channels to the schedulers and daemons of the clusters, secured as the configuration says. Where
 * to is what these have told of themselves. Thread-safe, never blocks.
 */
#ifndef CONTROL_MANAGER_LINKS_H
#define CONTROL_MANAGER_LINKS_H

#include "proto/rpc.h"

/* Before the first channel; both are kept. Without: plaintext. */
void links_secure(const struct rpc_tls *scheduler, const struct rpc_tls *peer);
/* "ip:port" or "[v6]:port". The caller frees the channel. */
struct rpc_channel *links_scheduler(const char *target);
struct rpc_channel *links_peer(const char *target);

#endif
