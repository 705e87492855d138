/*
 * Asks the manager which schedulers are this host's, and hands them to the scheduler client: all of
 * the first cluster in the (ordered) answer that has one that serves. Asked again at the refresh
 * interval; while none is known, soon and with back-off. A manager that is dead, or that knows
 * none, changes nothing. Without a manager the configured addresses are used.
 *
 * Must not know: what schedulers are asked.
 */
#ifndef DAEMON_MANAGER_CLIENT_H
#define DAEMON_MANAGER_CLIENT_H

#include "daemon/scheduler_client.h"

struct manager_client;

struct manager_client_config {
	const char *addr;	   /* "host:port", "http://" in front is allowed; NULL = none */
	const struct rpc_tls *tls; /* NULL = plaintext */
	int64_t refresh_interval_ms;
	const char *const *scheduler_addrs; /* used when there is no manager */
	size_t scheduler_count;
};

/* host and sc: borrowed for its life. Never blocks. */
struct manager_client *manager_client_new(const struct manager_client_config *c, struct host *host,
					  struct scheduler_client *sc);
/* Waits for a question that is on its way, at most 3 s. NULL is fine. */
void manager_client_free(struct manager_client *mc);
/* The last question was answered. */
bool manager_client_is_answered(struct manager_client *mc);

#endif
