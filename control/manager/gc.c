/* Deletes by age. Must not know: who asks for it. */
#include "control/manager/gc.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define TTL_MS	  (30LL * 24 * 3600 * 1000)
#define NS_PER_MS 1000000

int gc_prepare(struct db *db, struct err *e)
{
	char *value cleanup(free_at) =
		mem_printf("{\"audit\":{\"ttl\":%lld},\"job\":{\"ttl\":%lld}}", TTL_MS * NS_PER_MS,
			   TTL_MS * NS_PER_MS);
	int64_t there = 0, now = clock_wall_ms();
	int r = db_number(db, &there, e, "SELECT COUNT(*) FROM configs WHERE name = 'gc'", "");

	if (r < 0 || there)
		return r;
	r = db_run(db, NULL, e,
		   "INSERT INTO configs (name, value, created_ms, updated_ms)"
		   " VALUES ('gc', ?, ?, ?)",
		   "sii", value, now, now);
	return r == -EEXIST ? 0 : r; /* another manager was quicker */
}

int gc_ttl(struct db *db, const char *what, int64_t *ms_out, struct err *e)
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
	int r = gc_ttl(db, what, &ttl_ms, e);

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
