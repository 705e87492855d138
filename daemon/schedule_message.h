/* The messages of a conversation with a scheduler, made from and into what the daemon speaks of.
 * Whatever comes from a scheduler is bounded and checked here. */
#ifndef DAEMON_SCHEDULE_MESSAGE_H
#define DAEMON_SCHEDULE_MESSAGE_H

#include "daemon/scheduler_client.h"

#include "scheduler_v2.pb-c.h"

#define SCHEDULE_PARENTS_MAX 64

/* A registration that borrows nothing; free it with protobuf_c_message_free_unpacked(). */
Scheduler__V2__AnnouncePeerRequest *schedule_message_register(const char *own_host_id,
							      const char *peer_id,
							      const struct schedule_register *reg);

/* The parents that can be asked: at most max; those without an address and our own are left out.
 * Returns how many. */
size_t schedule_message_parents(const Scheduler__V2__NormalTaskResponse *answer,
				const char *own_host_id, struct parent_info *out, size_t max);

/* A request for other parents, and what it points to. Must not be copied or moved. */
struct schedule_message_tried {
	Scheduler__V2__ReschedulePeerRequest request;
	Common__V2__Peer *peers[SCHEDULE_PARENTS_MAX];
	struct {
		Common__V2__Peer peer;
		Common__V2__Host host;
	} each[SCHEDULE_PARENTS_MAX];
	Common__V2__Task task;
	Google__Protobuf__Duration cost;
	Google__Protobuf__Timestamp at;
};
/* Borrows all texts. */
void schedule_message_tried_fill(struct schedule_message_tried *m, const char *task_id,
				 const char *url, const struct parent_info *tried, size_t count,
				 const char *why);

#endif
