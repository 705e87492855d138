/* One way to secure links for the process (links.h). */
#include "control/manager/links.h"

static const struct rpc_tls *scheduler_tls, *peer_tls;

void links_secure(const struct rpc_tls *scheduler, const struct rpc_tls *peer)
{
	scheduler_tls = scheduler;
	peer_tls = peer;
}

struct rpc_channel *links_scheduler(const char *target)
{
	return rpc_channel_new(target, scheduler_tls);
}

struct rpc_channel *links_peer(const char *target)
{
	return rpc_channel_new(target, peer_tls);
}
