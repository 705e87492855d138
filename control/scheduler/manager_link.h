/* The scheduler's tie to the manager: says that it is there (UpdateScheduler), that it lives
 * (KeepAlive), and reads the cluster's limits. A manager that is away changes nothing. */
#ifndef CONTROL_SCHEDULER_MANAGER_LINK_H
#define CONTROL_SCHEDULER_MANAGER_LINK_H

#include "control/scheduler/config.h"
#include "control/scheduler/service.h"

struct manager_link;

/* ip and hostname as announced; starts its thread. */
struct manager_link *manager_link_new(const struct scheduler_config *c, const char *ip,
				      const char *hostname, struct service *service);
void manager_link_free(struct manager_link *l);

#endif
