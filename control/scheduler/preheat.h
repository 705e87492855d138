/*
 * Downloads asked of many daemons at a time (DfdaemonUpload.DownloadTask), task after task, in the
 * background. Knows nothing of why and of the state.
 */
#ifndef CONTROL_SCHEDULER_PREHEAT_H
#define CONTROL_SCHEDULER_PREHEAT_H

#include "base/digest.h"
#include "base/err.h"
#include "dfdaemon_v2.pb-c.h"
#include "proto/rpc_tls.h"

#include <stdbool.h>
#include <stdint.h>

#define PREHEATS_MAX	     100 /* under way, those being resolved among them */
#define PREHEAT_FAILURES_MAX 256 /* remembered */

struct preheats;

struct preheat_target {
	char *addr; /* "ip:port" of a daemon */
	bool is_seed;
};

struct preheat_task {
	char id[DIGEST_HEX_LEN + 1];
	Common__V2__Download *download; /* malloc'ed, freed with the rest */
	struct preheat_target *targets;
	size_t target_count;
};

struct preheat {
	char *name; /* for people */
	struct preheat_task *tasks;
	size_t task_count;
	unsigned tasks_at_once, targets_at_once; /* of each task */
	int64_t timeout_ms;			 /* of each download */
};

/* How seeds and others are asked; kept. */
struct preheats *preheats_new(const struct rpc_tls *seed_tls, const struct rpc_tls *peer_tls);
/* Cancels what is under way. */
void preheats_free(struct preheats *s);
/* Runs a blocking job on one of the workers. False: PREHEATS_MAX are under way. */
must_check bool preheats_run(struct preheats *s, void (*job)(void *arg), void *arg);
/* Takes p over and what it points to; ends by telling the log how it went. Never blocks. */
void preheats_start(struct preheats *s, struct preheat *p);
void preheat_free(struct preheat *p);

/* A download that ended badly. */
struct preheat_failure {
	char host[96]; /* "ip:port" */
	int code;      /* enum rpc_code */
	char why[232];
};
/* Copies out how downloads of the task failed since it was last asked for, at most max; the oldest
 * are forgotten when there are many. *pending_out: hosts that download it or will be asked to. */
size_t preheats_failures(struct preheats *s, const char *task_id, struct preheat_failure *out,
			 size_t max, size_t *pending_out);
/* How many downloads have ended well and not, since the start. */
void preheats_count(struct preheats *s, uint64_t *well_out, uint64_t *failed_out);

#endif
