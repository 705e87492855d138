/* Rows as manager.v2 messages. All memory is malloc'ed: free with protobuf_c_message_free_unpacked.
 */
#ifndef CONTROL_MANAGER_MESSAGE_H
#define CONTROL_MANAGER_MESSAGE_H

#include "control/manager/cluster.h"
#include "control/manager/member.h"
#include "manager_v2.pb-c.h"

Manager__V2__SchedulerCluster *message_cluster(const struct cluster *c);
/* cluster may be NULL; seeds are the cluster's seed peers. */
Manager__V2__Scheduler *message_scheduler(const struct member *m, const struct cluster *c,
					  const struct member *seeds, size_t seed_count);
Manager__V2__SeedPeer *message_seed_peer(const struct member *m);

#endif
