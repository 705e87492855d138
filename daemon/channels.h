/* gRPC channels to other daemons, one per address, shared by all that talk to it and closed a
 * minute after the last has gone. One pool for the process. Thread-safe, never blocks. */
#ifndef DAEMON_CHANNELS_H
#define DAEMON_CHANNELS_H

#include "proto/rpc.h"

/* How all of them are secured, before the first is taken; kept. Without: plaintext. */
void channels_secure(const struct rpc_tls *tls);
bool channels_are_secured(void);
/* "ip:port" or "[v6]:port". Give it back. */
struct rpc_channel *channels_take(const char *target);
void channels_give(struct rpc_channel *ch);
/* Closes those that nobody uses; before rpc_shutdown(). */
void channels_close_idle(void);
/* How many there are, idle ones among them. */
unsigned channels_count(void);

#endif
