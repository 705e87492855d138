/*
 * What the pieces that peers report add up to: bytes by where they came from, and who fed whom in
 * the last minute. No lock and no thread of its own, time is given.
 */
#ifndef CONTROL_SCHEDULER_TRAFFIC_H
#define CONTROL_SCHEDULER_TRAFFIC_H

#include "base/map.h"
#include "control/scheduler/meter.h"

#include <stdbool.h>
#include <stdint.h>

#define FLOWS_MAX     16384 /* past it new ones are not counted by pair */
#define FLOW_QUIET_MS 60000 /* then a flow is forgotten */

struct host;
struct state;

/* One host that feeds another. Hosts may be gone meanwhile. */
struct flow {
	char *parent_id, *child_id;
	struct meter meter;
	int64_t last_ms;
};

struct traffic {
	struct meter nodes_from_nodes, nodes_from_seeds, nodes_from_origin;
	struct meter seeds_from_hosts, seeds_from_origin;
	struct map *flows; /* "parent\nchild" -> struct flow */
};

void traffic_init(struct traffic *t);
void traffic_release(struct traffic *t);
/* child received a piece of len bytes; parent NULL: of the origin. */
void traffic_piece(struct traffic *t, struct host *child, struct host *parent, uint64_t len,
		   int64_t now_ms);
void traffic_gc(struct traffic *t, int64_t now_ms);

#endif
