/* The service's insides, for the files that answer its calls. */
#ifndef CONTROL_SCHEDULER_SERVICE_PRIVATE_H
#define CONTROL_SCHEDULER_SERVICE_PRIVATE_H

#include "base/lock.h"
#include "base/timer.h"
#include "control/scheduler/preheat.h"
#include "control/scheduler/rules.h"
#include "control/scheduler/seed.h"
#include "control/scheduler/service.h"
#include "control/scheduler/traffic.h"

#define ID_MAX 512

struct service {
	struct lock lock; /* rank 10: of all below but seeds and preheats */
	struct state state;
	struct traffic traffic;
	int64_t started_ms;  /* wall */
	struct list errands; /* of calls, done by who drops the lock */
	struct seeds *seeds;
	struct preheats *preheats;
	struct rules *rules; /* the cluster's; NULL = none */
	struct timer tick;
	int64_t gc_at_ms;
	struct map *downloads; /* task id -> Common__V2__Download of its first register */
};

/* ---- preheat_service.c */
void service_preheat_image(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void service_stat_image(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void service_preheat_file(struct rpc_call *call, const ProtobufCMessage *req, void *arg);
void service_stat_file(struct rpc_call *call, const ProtobufCMessage *req, void *arg);

#endif
