/* What schedulers answered, as the JSON that people see: hosts that several of them know are one.
 */
#ifndef CONTROL_MANAGER_LIVE_VIEW_H
#define CONTROL_MANAGER_LIVE_VIEW_H

#include "base/json.h"
#include "control/manager/db.h"
#include "skimmer_v1.pb-c.h"

#define LIVE_HOSTS_MAX 2000
#define LIVE_FLOWS_MAX 6000
#define LIVE_TASKS_MAX 200
#define LIVE_PEERS_MAX 200

struct live_answer {
	int64_t cluster;
	const char *scheduler;		   /* "host name (ip:port)" */
	const char *why;		   /* why there is no message */
	Skimmer__V1__StatSwarmResponse *m; /* NULL: it did not answer */
};

must_check int live_view_overview(struct db *db, const struct live_answer *list, size_t count,
				  json_t **out, struct err *e);
json_t *live_view_topology(const struct live_answer *list, size_t count);
json_t *live_view_tasks(const struct live_answer *list, size_t count);
json_t *live_view_task(int64_t cluster, const Skimmer__V1__StatPiecesResponse *m);

#endif
