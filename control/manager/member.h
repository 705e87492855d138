/* Rows of schedulers and seed peers: who serves a cluster, and whether it is alive. */
#ifndef CONTROL_MANAGER_MEMBER_H
#define CONTROL_MANAGER_MEMBER_H

#include "control/manager/db.h"

enum member_kind { MEMBER_SCHEDULER, MEMBER_SEED_PEER };

struct member {
	uint64_t id, cluster_id;
	char *hostname, *ip, *idc, *location, *state; /* state: "active" | "inactive" */
	char *features;				      /* schedulers: JSON array */
	char *type;				      /* seed peers: "super" */
	int port, download_port;
};

void member_release(struct member *m);
void member_list_free(struct member *list, size_t count);
/* Makes or updates the row of (hostname, ip, cluster_id). ENOENT if there is no such cluster. A new
 * row is inactive. *out (released by the caller) is the row as it is now. */
must_check int member_update(struct db *db, enum member_kind kind, const struct member *m,
			     struct member *out, struct err *e);
/* By hostname, ip ("" = any) and cluster. ENOENT. */
must_check int member_get(struct db *db, enum member_kind kind, const char *hostname,
			  const char *ip, uint64_t cluster_id, struct member *out, struct err *e);
/* Of one cluster (0 = all), active ones only if asked. */
must_check int member_list(struct db *db, enum member_kind kind, uint64_t cluster_id,
			   bool active_only, struct member **out, size_t *count_out, struct err *e);
/* Seed peers of the seed peer clusters linked to a scheduler cluster. */
must_check int member_list_seeds(struct db *db, uint64_t scheduler_cluster_id, struct member **out,
				 size_t *count_out, struct err *e);
must_check int member_delete(struct db *db, enum member_kind kind, const char *hostname,
			     const char *ip, uint64_t cluster_id, struct err *e);
/* ENOENT if there is no such row to become active. beat_ms: now, when it became active or was heard
 * of again; a member that another manager has heard of since then does not become inactive. */
must_check int member_set_state(struct db *db, enum member_kind kind, const char *hostname,
				const char *ip, uint64_t cluster_id, bool active, int64_t beat_ms,
				struct err *e);
/* Those of whom no manager has heard for MEMBER_SILENT_MS are inactive: theirs has died. */
#define MEMBER_BEAT_MS	 10000 /* how often it is written that a member was heard of */
#define MEMBER_SILENT_MS 60000
must_check int member_expire(struct db *db, struct err *e);
/* After a start of the only manager nobody is known to be alive: keep-alive streams tell again. */
must_check int member_reset_all(struct db *db, struct err *e);

#endif
