/*
 * Jobs: rows of the database that a few threads bring to their end. Whatever the manager has
 * promised is in the row before it is answered, so a job of a manager that died is taken up again.
 *
 * A job is one manager's at a time, by a lease that it renews while it lives: jobs.owner until
 * jobs.lease_ms by the database's clock. A lease that has ended is any manager's to claim; what the
 * earlier owner still writes is not taken. What no thread has time for is nobody's, and waits for
 * the first manager that has one. (docs/adr/0005-leases-of-jobs.md)
 *
 *	state	what it means				who moves it
 *	PENDING	promised				jobs_add()
 *	STARTED	a thread is at it			the thread
 *	SUCCESS	done, for every cluster of it		the thread
 *	FAILURE	some of it could not be done		the thread
 */
#ifndef CONTROL_MANAGER_JOBS_H
#define CONTROL_MANAGER_JOBS_H

#include "base/json.h"
#include "control/manager/db.h"

struct jobs;
struct vault;

/* Takes up what is unfinished. */
must_check int jobs_new(struct db *db, const struct vault *vault, struct jobs **out, struct err *e);
/* Running jobs stop where they are; the next start goes on. NULL is fine. */
void jobs_free(struct jobs *j);

struct job {
	int64_t id;
	char *type, *task_id;
	json_t *args; /* with credentials */
	int64_t *clusters;
	size_t cluster_count;
};
void job_release(struct job *job);

/* args checked already. clusters: none means all that have an active scheduler. It runs at once if
 * a thread is free, else when one of this or of another manager is. */
must_check int jobs_add(struct jobs *j, const char *type, const json_t *args, const char *bio,
			int64_t user_id, const int64_t *clusters, size_t cluster_count,
			int64_t *id_out, struct err *e);

/* A row of what is done already, for jobs_progress() to say how. */
must_check int jobs_record(struct jobs *j, const char *type, const json_t *args, int64_t user_id,
			   int64_t *id_out, struct err *e);

/* ---- for those who do the work */

/* Sleeps; false when the manager stops. */
bool jobs_wait(struct jobs *j, int64_t ms);
struct db *jobs_db(const struct jobs *j);
/* Writes how far a job is; states: the array job_states. */
void jobs_progress(struct jobs *j, const struct job *job, const char *state, const json_t *states);

#endif
