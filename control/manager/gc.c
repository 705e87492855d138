/* Deletes by age. Must not know: who asks for it. */
#include "control/manager/gc.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

#include <string.h>

#define TTL_MS	  (30LL * 24 * 3600 * 1000)
#define NS_PER_MS 1000000

static int time_to_live(struct db *db, const char *what, int64_t *ms_out, struct err *e)
{
	json_t *config cleanup(json_decref_at) = NULL;
	struct query q;
	int r;

	query_start(db, &q, e, "SELECT value FROM configs WHERE name = 'gc'", "");
	if (query_next(&q))
		config = json_loads(query_text(&q, 0), 0, NULL);
	r = query_end(&q);
	*ms_out = (int64_t)json_u64(json_object_get(config, what), "ttl",
				    (uint64_t)TTL_MS * NS_PER_MS) /
		  NS_PER_MS;
	return r;
}

int gc_run(struct db *db, const char *what, int64_t *removed_out, struct err *e)
{
	int64_t ttl_ms = 0;
	int r = time_to_live(db, what, &ttl_ms, e);

	if (r < 0)
		return r;
	return db_run(db, removed_out, e,
		      strcmp(what, "audit") == 0 ? "DELETE FROM audits WHERE created_ms < ?"
						 : "DELETE FROM jobs WHERE created_ms < ?"
						   " AND state IN ('SUCCESS', 'FAILURE')",
		      "i", clock_wall_ms() - ttl_ms);
}

int gc_run_all(struct db *db, struct err *e)
{
	int64_t audits = 0, jobs = 0;
	int r = gc_run(db, "audit", &audits, e);

	if (r == 0)
		r = gc_run(db, "job", &jobs, e);
	if (r == 0 && audits + jobs)
		log_info("old rows are removed", "audits=%lld jobs=%lld", (long long)audits,
			 (long long)jobs);
	return r;
}
