/*
 * What goes on in the clusters now: one thread asks every active scheduler once a second, only
 * while somebody looks, and all who look share the answer. A scheduler that does not answer is left
 * in peace for a while. Must not know: HTTP, people.
 */
#ifndef CONTROL_MANAGER_LIVE_H
#define CONTROL_MANAGER_LIVE_H

#include "base/json.h"
#include "control/manager/db.h"
#include "control/manager/web_feed.h"

enum live_topic { LIVE_OVERVIEW, LIVE_TOPOLOGY, LIVE_TASKS, LIVE_TOPICS };

struct live;

struct live *live_new(struct db *db);
/* Asks and pushes no more. Before the web is freed. */
void live_stop(struct live *l);
void live_free(struct live *l); /* after the web; NULL is fine */

/* What followers of the topic get. */
struct web_feed *live_feed(struct live *l, enum live_topic topic);
/* Somebody is going to look. */
void live_wake(struct live *l, enum live_topic topic);
/* The topic's JSON, not older than two seconds; waits for it. The caller frees. ETIMEDOUT. */
must_check int live_now(struct live *l, enum live_topic topic, char **json_out, struct err *e);
/* A task with its peers' pieces, of the first scheduler that knows it. ENOENT. */
must_check int live_task(struct live *l, const char *id, json_t **out, struct err *e);

#endif
