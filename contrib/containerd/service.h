/* containerd.services.snapshots.v1.Snapshots: between the wire and snapshots.h. */
#ifndef CONTRIB_CONTAINERD_SERVICE_H
#define CONTRIB_CONTAINERD_SERVICE_H

#include "contrib/containerd/snapshots.h"
#include "proto/rpc.h"

struct service;

struct service *service_new(struct snapshots *s);
/* After the server has been freed. NULL is fine. */
void service_free(struct service *sv);
/* Their arg is the service. */
extern const struct rpc_method service_methods[];

#endif
