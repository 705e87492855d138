/* Rows of scheduler clusters. */
#ifndef CONTROL_MANAGER_CLUSTER_H
#define CONTROL_MANAGER_CLUSTER_H

#include "control/manager/db.h"

struct cluster {
	uint64_t id;
	char *name, *bio;
	char *config, *client_config, *seed_client_config, *scopes; /* JSON */
	bool is_default;
};

void cluster_release(struct cluster *c);
/* ENOENT. */
must_check int cluster_get(struct db *db, uint64_t id, struct cluster *out, struct err *e);
/* All, by id; the caller releases each and frees the array. */
must_check int cluster_list(struct db *db, struct cluster **out, size_t *count_out, struct err *e);
/* A scheduler cluster with a seed peer cluster of the same name linked to it. EEXIST. */
must_check int cluster_add(struct db *db, const char *name, const char *scopes, uint64_t *id_out,
			   struct err *e);

#endif
