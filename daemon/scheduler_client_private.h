/* What scheduler_client.c and schedule.c share. */
#ifndef DAEMON_SCHEDULER_CLIENT_PRIVATE_H
#define DAEMON_SCHEDULER_CLIENT_PRIVATE_H

#include "base/list.h"
#include "base/lock.h"
#include "daemon/scheduler_client.h"
#include "daemon/schedulers.h"

struct scheduler_client {
	struct scheduler_client_config config;
	struct host *host;
	struct schedulers *schedulers;
	struct lock lock;
	struct cond changed;
	/* all below: lock */
	struct list schedules; /* those that are not being freed, dropped ones among them */
	unsigned existing;     /* those that are being freed too */
};

void scheduler_client_remember(struct scheduler_client *sc, struct list *schedule);
/* From now on schedule_hurry() is not called for it. */
void scheduler_client_hide(struct scheduler_client *sc, struct list *schedule);
/* The last that a conversation does with the client. */
void scheduler_client_forget(struct scheduler_client *sc);
/* Ends a dropped conversation without lingering. Under the client's lock. */
void schedule_hurry(struct list *schedule);

#endif
