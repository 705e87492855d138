/* grpc.health.v1.Health, part of every server. */
#ifndef PROTO_RPC_HEALTH_H
#define PROTO_RPC_HEALTH_H

#include "base/list.h"
#include "base/lock.h"
#include "proto/rpc.h"

/* Whether the server has a service of that full name. */
typedef bool rpc_health_knows(const void *server, const char *service);

struct rpc_health {
	rpc_health_knows *knows;
	const void *server;
	struct lock lock;     /* everything below */
	struct list watchers; /* of struct watcher */
	bool serving, stopping;
};

/* The methods; their arg is the struct rpc_health. */
extern const struct rpc_method rpc_health_methods[];

void rpc_health_init(struct rpc_health *h, rpc_health_knows *knows, const void *server);
void rpc_health_release(struct rpc_health *h); /* no call may be left */
void rpc_health_set(struct rpc_health *h, bool serving);
/* Tells the watchers that it is over, and ends them: they must not hold up a stopping server. */
void rpc_health_stop(struct rpc_health *h);

#endif
