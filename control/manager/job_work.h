/* What jobs do: they ask schedulers and daemons over gRPC. */
#ifndef CONTROL_MANAGER_JOB_WORK_H
#define CONTROL_MANAGER_JOB_WORK_H

#include "control/manager/jobs.h"

enum job_end { JOB_DONE, JOB_FAILED, JOB_STOPPED };

/* Brings a job to its end, on a thread of its own; states gets an entry for each cluster. */
enum job_end job_work(struct jobs *j, const struct job *job, json_t *states);

/* The hosts that an active scheduler of the cluster knows become rows of peers; others of the
 * cluster become inactive. EHOSTUNREACH: the cluster has no active scheduler. */
must_check int job_sync_peers(struct db *db, int64_t cluster, struct err *e);
/* StatImage of every cluster: {image, peers}. */
must_check int job_image_distribution(struct db *db, const json_t *args, const int64_t *clusters,
				      size_t count, json_t **out, struct err *e);
/* Clusters that have an active scheduler; the caller frees the array. */
must_check int job_active_clusters(struct db *db, int64_t **out, size_t *count_out, struct err *e);

#endif
