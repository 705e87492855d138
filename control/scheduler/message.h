/* The scheduler's hosts, tasks and peers as common.v2 messages. All memory is malloc'ed: free with
 * protobuf_c_message_free_unpacked(). */
#ifndef CONTROL_SCHEDULER_MESSAGE_H
#define CONTROL_SCHEDULER_MESSAGE_H

#include "control/scheduler/state.h"
#include "scheduler_v2.pb-c.h"

Common__V2__Host *message_host(const struct host *h);
Common__V2__Task *message_task(const struct task *t);
Common__V2__Peer *message_peer(const struct peer *p);
Scheduler__V2__AnnouncePeerResponse *message_answer(enum answer a, struct peer *const *parents,
						    unsigned count, const char *why);

#endif
