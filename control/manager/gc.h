/* Rows that nobody looks at any more: old audits and jobs that ended. */
#ifndef CONTROL_MANAGER_GC_H
#define CONTROL_MANAGER_GC_H

#include "control/manager/db.h"

#define GC_INTERVAL_MS (3600LL * 1000) /* and at the start */

/* Makes the config `gc` unless it is there: who changes it by Dragonfly's console needs its row. */
must_check int gc_prepare(struct db *db, struct err *e);
must_check int gc_ttl(struct db *db, const char *what, int64_t *ms_out, struct err *e);
/* what: "audit" or "job". Removes rows older than their time to live, which is in the config `gc`,
 * {"audit":{"ttl":ns},"job":{"ttl":ns}}, else 30 days. */
must_check int gc_run(struct db *db, const char *what, int64_t *removed_out, struct err *e);
/* Both. */
must_check int gc_run_all(struct db *db, struct err *e);

#endif
