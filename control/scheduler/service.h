/* gRPC service scheduler.v2.Scheduler over the state, and the scheduler's own timers. */
#ifndef CONTROL_SCHEDULER_SERVICE_H
#define CONTROL_SCHEDULER_SERVICE_H

#include "control/scheduler/rules.h"
#include "control/scheduler/state.h"
#include "proto/rpc.h"

struct service;

/* How daemons are asked, seeds and others; kept, NULL = plaintext. */
struct service *service_new(const struct state_config *c, const struct rpc_tls *seed_tls,
			    const struct rpc_tls *peer_tls);
void service_free(struct service *s); /* after the rpc server */
/* For rpc_server_config; arg is the struct service. */
extern const struct rpc_method service_methods[];
extern const struct rpc_method service_swarm_methods[]; /* skimmer.v1.Swarm */
/* The cluster's limits, from the manager; 0 = as before. */
void service_set_limits(struct service *s, unsigned candidate_parent_limit,
			unsigned filter_parent_limit);
/* The cluster's rules, from the manager; takes them over. */
void service_set_rules(struct service *s, struct rules *rules);

#endif
