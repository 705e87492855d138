/*
 * Tells the schedulers which whole tasks are in the store: at the start, and again when a scheduler
 * has forgotten them (it was restarted, or has come anew: this host is another cluster's now).
 * Without it a scheduler that comes back
 * would send the next asker to the origin although half of the cluster has the task.
 *
 * One thread; an announcement is a conversation with metadata_only, one after the other.
 */
#ifndef DAEMON_ANNOUNCER_H
#define DAEMON_ANNOUNCER_H

#include "daemon/scheduler_client.h"
#include "daemon/store.h"

struct announcer;

/* store and sc: borrowed for its life. interval_ms: how often a few of the told tasks are asked
 * after. */
struct announcer *announcer_new(struct store *store, struct scheduler_client *sc,
				int64_t interval_ms);
/* Ends an announcement that is under way and joins. NULL is fine. */
void announcer_free(struct announcer *a);

#endif
