/*
 * The schedulers of this host's cluster: which of them answer, what they know of this host, and
 * which one keeps a task.
 *
 *	an address is	what it means				what moves it on
 *	NEW		not heard of yet			a check -> UP | DOWN
 *	UP		serves, and knows this host		a failed check, scheduler_failed()
 *-> DOWN DOWN		does not answer, or does not serve	a check (with back-off) -> UP
 *
 * A check is a health call and, if it serves, AnnounceHost; an UP one is checked at the announce
 * interval. Only UP ones are in the ring. One that is taken out of the set (this host is another
 * cluster's now) is told DeleteHost. Thread-safe; nothing blocks but schedulers_leave() and
 *_free().
 *
 * Must not know: tasks' conversations.
 */
#ifndef DAEMON_SCHEDULERS_H
#define DAEMON_SCHEDULERS_H

#include "daemon/host.h"
#include "proto/rpc.h"

struct schedulers;
struct scheduler; /* one address; reference-counted */

/* tls: kept. */
struct schedulers *schedulers_new(struct host *host, const struct rpc_tls *tls,
				  int64_t announce_interval_ms);
/* Nobody may hold a reference to a scheduler any more. Waits for goodbyes, at most 2 s. */
void schedulers_free(struct schedulers *ss);
/* The addresses in force from now on; those that are new are checked at once. At most RING_MAX. */
void schedulers_set(struct schedulers *ss, const char *const *addrs, size_t count);
unsigned schedulers_up(struct schedulers *ss);
/* How many addresses have been UP since the start: grows when one answers for the first time. */
unsigned schedulers_met(struct schedulers *ss);
/* Takes back what the UP ones know of this host, waiting at most timeout_ms. for_good: nothing is
 * announced afterwards. */
void schedulers_leave(struct schedulers *ss, bool for_good, int64_t timeout_ms);

/* A new reference to the one that keeps the task; NULL if none is UP. */
struct scheduler *schedulers_pick(struct schedulers *ss, const char *task_id);
void scheduler_unref(struct scheduler *s);
struct rpc_channel *scheduler_channel(const struct scheduler *s); /* borrowed */
const char *scheduler_addr(const struct scheduler *s);
/* It refused a connection or broke one: it is not picked before it has answered a check. */
void scheduler_failed(struct scheduler *s, const char *why);
/* It has forgotten this host: tells it again. done comes on the rpc thread. */
void scheduler_announce(struct scheduler *s, void (*done)(bool ok, void *arg), void *arg);

#endif
