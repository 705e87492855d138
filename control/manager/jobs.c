/* The life of jobs: rows, leases, threads, what is left over from an earlier life. */
#include "control/manager/jobs.h"

#include "control/manager/figures.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pool.h"
#include "control/manager/field.h"
#include "control/manager/gc.h"
#include "control/manager/job_fields.h"
#include "control/manager/job_work.h"
#include "control/manager/member.h"
#include "control/manager/vault.h"

#include <errno.h>
#include <string.h>

#define RANK_JOBS   44
#define THREADS_MAX 16
#define SEALED_AS   "jobs.args"
#define BEAT_MS	    3000
#define LEASE_MS    12000 /* four beats */
#define UNFINISHED  "state IN ('PENDING', 'STARTED')"

struct jobs {
	struct db *db;
	const struct vault *vault;
	struct pool *pool;
	char *name; /* of this life of this manager: who owns a job */
	pthread_t beat;
	bool beats;
	struct lock lock;
	struct cond cond;
	/* lock: */
	bool stopping;
	bool looks;	  /* the beat need not wait: a thread is free */
	unsigned running; /* threads that have a job */
};

struct errand {
	struct jobs *jobs;
	int64_t id;
};

void job_release(struct job *job)
{
	free(job->type);
	free(job->task_id);
	json_decref(job->args);
	free(job->clusters);
	*job = (struct job){0};
}

struct db *jobs_db(const struct jobs *j)
{
	return j->db;
}

bool jobs_wait(struct jobs *j, int64_t ms)
{
	int64_t deadline = clock_ms() + ms;

	lock_guard(&j->lock);
	while (!j->stopping && cond_wait_until(&j->cond, &j->lock, deadline))
		;
	return !j->stopping;
}

static json_t *time_json(int64_t ms)
{
	char text[32];

	field_print_time(ms, text);
	return json_string(text);
}

static bool is_away(const struct err *e)
{
	return e->code == ENOTCONN || e->code == EDEADLK;
}

void jobs_progress(struct jobs *j, const struct job *job, const char *state, const json_t *states)
{
	int64_t now = clock_wall_ms();
	bool over = strcmp(state, "SUCCESS") == 0 || strcmp(state, "FAILURE") == 0;
	json_t *result cleanup(json_decref_at) =
		json_pack("{s:s, s:s, s:o, s:O}", "group_uuid", job->task_id, "state", state,
			  "updated_at", time_json(now), "job_states", (json_t *)states);
	char *text cleanup(free_at) = json_print(result);
	struct err e = {0};

	/* The row of a job that another manager has taken stays its. Credentials are kept no longer
	 * than they are needed. What the database does not take while it is away it takes later. */
	while (db_run(j->db, NULL, &e,
		      "UPDATE jobs SET state = ?, result = ?, updated_ms = ?,"
		      " args_sealed = CASE WHEN ? = 1 THEN '' ELSE args_sealed END"
		      " WHERE id = ? AND owner = ?",
		      "ssiiis", state, text, now, (int64_t)over, job->id, j->name) < 0) {
		log_error(err_fault(&e), "job's state is not recorded", "job=%lld why=\"%s\"",
			  (long long)job->id, e.text);
		if (!over || !is_away(&e) || !jobs_wait(j, BEAT_MS))
			return;
	}
}

/* ---- threads */

/* What waits, waits in the table: there any manager with a free thread finds it. */
static bool take_thread(struct jobs *j)
{
	lock_guard(&j->lock);
	if (j->running == THREADS_MAX)
		return false;
	j->running++;
	return true;
}

static void give_thread(struct jobs *j)
{
	lock_guard(&j->lock);
	j->running--;
}

static void look_for_work(struct jobs *j)
{
	lock_guard(&j->lock);
	j->looks = true;
	cond_wake_all(&j->cond);
}

/* ---- running */

static int load_clusters(struct jobs *j, struct job *job, struct err *e)
{
	struct query q;

	query_start(j->db, &q, e,
		    "SELECT scheduler_cluster_id FROM job_clusters WHERE job_id = ?"
		    " ORDER BY scheduler_cluster_id",
		    "i", job->id);
	while (query_next(&q)) {
		job->clusters = mem_realloc(job->clusters,
					    (job->cluster_count + 1) * sizeof(*job->clusters));
		job->clusters[job->cluster_count++] = query_int(&q, 0);
	}
	return query_end(&q);
}

static int load(struct jobs *j, int64_t id, struct job *job, struct err *e)
{
	char *sealed cleanup(free_at) = NULL, *args cleanup(free_at) = NULL;
	struct query q;
	int r;

	query_start(j->db, &q, e, "SELECT id, type, task_id, args_sealed FROM jobs WHERE id = ?",
		    "i", id);
	if (query_next(&q)) {
		job->id = query_int(&q, 0);
		job->type = mem_strdup(query_text(&q, 1));
		job->task_id = mem_strdup(query_text(&q, 2));
		sealed = mem_strdup(query_text(&q, 3));
	}
	r = query_end(&q);
	if (r == 0 && !job->id)
		return err_set(e, ENOENT, "the job has been removed");
	if (r == 0)
		r = vault_open_text(j->vault, SEALED_AS, sealed, &args, e);
	if (r == 0)
		r = json_parse(args, strlen(args), 1 << 21, &job->args, e);
	return r < 0 ? r : load_clusters(j, job, e);
}

static void fail_job(struct jobs *j, int64_t id, const char *why)
{
	struct job job = {.id = id, .task_id = mem_strdup("")};
	json_t *states cleanup(json_decref_at) =
		json_pack("[{s:s, s:s}]", "state", "FAILURE", "error", why);

	jobs_progress(j, &job, "FAILURE", states);
	job_release(&job);
}

static void run_job(struct jobs *j, int64_t id)
{
	struct job job cleanup(job_release) = {0};
	json_t *states cleanup(json_decref_at) = json_array();
	struct err e = {0};

	if (!jobs_wait(j, 0))
		return;
	while (load(j, id, &job, &e) < 0) {
		if (is_away(&e) && jobs_wait(j, BEAT_MS)) {
			job_release(&job);
			continue;
		}
		log_warn("job cannot be run", "job=%lld why=\"%s\"", (long long)id, e.text);
		if (e.code != ENOENT)
			fail_job(j, id, e.text);
		return;
	}
	jobs_progress(j, &job, "STARTED", states);
	log_info("job begins", "job=%lld type=%s", (long long)id, job.type);
	switch (job_work(j, &job, states)) {
	case JOB_STOPPED:
		return; /* the manager stops: it goes on at the next start */
	case JOB_DONE:
		jobs_progress(j, &job, "SUCCESS", states);
		break;
	case JOB_FAILED:
		jobs_progress(j, &job, "FAILURE", states);
		break;
	}
	log_info("job ends", "job=%lld type=%s", (long long)id, job.type);
}

static void run(void *arg)
{
	struct errand *errand = arg;

	run_job(errand->jobs, errand->id);
	give_thread(errand->jobs);
	look_for_work(errand->jobs);
	free(errand);
}

/* On a thread that was taken. */
static void start(struct jobs *j, int64_t id)
{
	struct errand *errand = mem_new(struct errand);

	*errand = (struct errand){j, id};
	if (!pool_run(j->pool, run, errand))
		abort();
}

/* ---- leases */

static int renew(struct jobs *j, int64_t now, struct err *e)
{
	return db_run(j->db, NULL, e,
		      "UPDATE jobs SET lease_ms = ? WHERE owner = ? AND " UNFINISHED, "is",
		      now + LEASE_MS, j->name);
}

/* Of several managers that try one has it, on a thread that this one has taken. */
static int claim(struct jobs *j, int64_t id, int64_t now, struct err *e)
{
	int64_t changed = 0;
	int r = db_run(j->db, &changed, e,
		       "UPDATE jobs SET owner = ?, lease_ms = ? WHERE id = ? AND lease_ms < ?"
		       " AND " UNFINISHED,
		       "siii", j->name, now + LEASE_MS, id, now);

	if (r < 0 || !changed) {
		give_thread(j);
		return r;
	}
	log_info("unfinished job is taken up", "job=%lld", (long long)id);
	start(j, id);
	return 0;
}

static int claim_free(struct jobs *j, int64_t now, struct err *e)
{
	int64_t ids[THREADS_MAX];
	size_t count = 0;
	struct query q;
	int r;

	query_start(j->db, &q, e,
		    "SELECT id FROM jobs WHERE " UNFINISHED " AND lease_ms < ? ORDER BY id LIMIT ?",
		    "ii", now, (int64_t)THREADS_MAX);
	while (count < THREADS_MAX && query_next(&q))
		ids[count++] = query_int(&q, 0);
	r = query_end(&q);
	for (size_t i = 0; r == 0 && i < count && take_thread(j); i++)
		r = claim(j, ids[i], now, e);
	return r;
}

static int beat(struct jobs *j, struct err *e)
{
	int64_t now = 0;
	int r = db_now(j->db, &now, e);

	if (r == 0)
		r = renew(j, now, e);
	if (r == 0)
		r = claim_free(j, now, e);
	if (r == 0 && db_is_shared(j->db))
		r = member_expire(j->db, e);
	return r;
}

/* False: the manager stops. */
static bool wait_for_beat(struct jobs *j)
{
	int64_t deadline = clock_ms() + BEAT_MS;

	lock_guard(&j->lock);
	while (!j->stopping && !j->looks && cond_wait_until(&j->cond, &j->lock, deadline))
		;
	j->looks = false;
	return !j->stopping;
}

static void *beat_main(void *arg)
{
	struct jobs *j = arg;
	int64_t gc_ms = clock_ms();

	while (wait_for_beat(j)) {
		struct err e = {0};

		if (beat(j, &e) < 0 && !is_away(&e))
			log_error(err_fault(&e), "leases of jobs are not kept", "why=\"%s\"",
				  e.text);
		if (clock_ms() < gc_ms)
			continue;
		gc_ms = clock_ms() + GC_INTERVAL_MS;
		if (gc_run_all(j->db, &e) < 0)
			log_error(err_fault(&e), "old rows are not removed", "why=\"%s\"", e.text);
	}
	return NULL;
}

/* The next manager, which may be another, need not wait for the lease's end. */
static void let_go(struct jobs *j)
{
	struct err e = {0};

	if (db_run(j->db, NULL, &e, "UPDATE jobs SET lease_ms = 0 WHERE owner = ? AND " UNFINISHED,
		   "s", j->name) < 0)
		log_warn("leases of jobs run on", "why=\"%s\"", e.text);
}

/* An embedded database is nobody else's: what is unfinished is an earlier life's. */
static int take_up(struct jobs *j, struct err *e)
{
	int r = 0;

	if (!db_is_shared(j->db))
		r = db_run(j->db, NULL, e, "UPDATE jobs SET lease_ms = 0 WHERE " UNFINISHED, "");
	return r < 0 ? r : beat(j, e);
}

/* ---- adding */

/* Ours, or nobody's yet. */
static int insert(struct jobs *j, bool ours, const char *type, const char *args, const char *sealed,
		  const char *bio, int64_t user_id, const int64_t *clusters, size_t count,
		  int64_t *id_out, struct err *e)
{
	int64_t now = clock_wall_ms(), lease_ms = 0;
	char *random cleanup(free_at) = vault_random(24);
	int r = db_now(j->db, &lease_ms, e);

	if (r == 0)
		r = db_number(j->db, id_out, e,
			      "INSERT INTO jobs (task_id, bio, type, state, args, args_sealed,"
			      " user_id, owner, lease_ms, created_ms, updated_ms)"
			      " VALUES (?, ?, ?, 'PENDING', ?, ?, ?, ?, ?, ?, ?) RETURNING id",
			      "sssssisiii", random, bio, type, args, sealed, user_id,
			      ours ? j->name : "", ours ? lease_ms + LEASE_MS : 0, now, now);

	for (size_t i = 0; r == 0 && i < count; i++) {
		r = db_run(j->db, NULL, e,
			   "INSERT INTO job_clusters (job_id, scheduler_cluster_id) VALUES (?, ?)",
			   "ii", *id_out, clusters[i]);
		if (r == -EINVAL)
			return err_set(e, ENOENT, "no scheduler cluster %lld",
				       (long long)clusters[i]);
	}
	return r;
}

int jobs_record(struct jobs *j, const char *type, const json_t *args, int64_t user_id,
		int64_t *id_out, struct err *e)
{
	char *text cleanup(free_at) = json_print(args);

	return insert(j, true, type, text, "", "", user_id, NULL, 0, id_out, e);
}

int jobs_add(struct jobs *j, const char *type, const json_t *args, const char *bio, int64_t user_id,
	     const int64_t *clusters, size_t cluster_count, int64_t *id_out, struct err *e)
{
	json_t *shown cleanup(json_decref_at) = job_args_public(args);
	char *public cleanup(free_at) = json_print(shown);
	char *whole cleanup(free_at) = json_print(args);
	char *sealed cleanup(free_at) = vault_seal(j->vault, SEALED_AS, whole);
	bool ours = take_thread(j);
	int r = db_begin(j->db, e);

	if (r == 0)
		r = db_finish(j->db,
			      insert(j, ours, type, public, sealed, bio, user_id, clusters,
				     cluster_count, id_out, e),
			      e);
	figures_job(type, r == 0);
	if (ours && r == 0)
		start(j, *id_out);
	else if (ours)
		give_thread(j);
	return r;
}

/* ---- life */

int jobs_new(struct db *db, const struct vault *vault, struct jobs **out, struct err *e)
{
	struct jobs *j = mem_new(struct jobs);
	int r;

	j->db = db;
	j->vault = vault;
	lock_init(&j->lock, RANK_JOBS);
	cond_init(&j->cond);
	j->name = vault_random(24);
	j->pool = pool_new("jobs", THREADS_MAX, THREADS_MAX + 1);
	r = take_up(j, e);
	if (r < 0) {
		jobs_free(j);
		return r;
	}
	thread_start(&j->beat, "jobs-beat", beat_main, j);
	j->beats = true;
	*out = j;
	return 0;
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	lock_take(&j->lock);
	j->stopping = true;
	cond_wake_all(&j->cond);
	lock_drop(&j->lock);
	if (j->beats)
		pthread_join(j->beat, NULL);
	pool_free(j->pool);
	if (j->beats)
		let_go(j);
	free(j->name);
	cond_release(&j->cond);
	lock_release(&j->lock);
	free(j);
}
