/* The whole daemon as one object: every module made from the configuration, and freed again. */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "daemon/config.h"

struct daemon;

/* Serves when it returns. The configuration is borrowed for the daemon's life. */
must_check int daemon_start(const struct daemon_config *c, struct daemon **out, struct err *e);
/* Leaves the swarm, ends reads with an error (or leaves them to the next process, where somebody
 * keeps the mounts), syncs the store, frees. NULL is fine. */
void daemon_stop(struct daemon *d);
/* To be called now and then. */
void daemon_tend(struct daemon *d);
/* Somebody unmounted the file system from outside. */
bool daemon_mount_ended(const struct daemon *d);

#endif
