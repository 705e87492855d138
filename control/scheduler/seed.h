/* Seed peers: asked to fetch a task from the origin (DfdaemonUpload.DownloadTask), chosen by a
 * consistent-hash ring over those that are well. */
#ifndef CONTROL_SCHEDULER_SEED_H
#define CONTROL_SCHEDULER_SEED_H

#include "control/scheduler/state.h"
#include "dfdaemon_v2.pb-c.h"
#include "proto/rpc_tls.h"

struct seeds;

/* tls: kept. ended: a download asked of a seed is over. On an rpc thread, without locks. */
struct seeds *seeds_new(const struct rpc_tls *tls,
			void (*ended)(const char *task_id, const char *host_id, bool well,
				      bool reachable, void *arg),
			void *arg);
void seeds_free(struct seeds *s);
/* The seed host for a task among the state's, NULL if none is well. */
struct host *seeds_choose(const struct state *state, const char *task_id);
/* Starts it; never blocks. download is packed before it returns. False: that seed has it in hand
 * already. */
bool seeds_ask(struct seeds *s, const struct host *h, const char *task_id,
	       Common__V2__Download *download);

#endif
