/* Finding out what a task is: what the store has of it, else its length as the cluster or the
 * origin says. Blocking, for workers. */
#ifndef DAEMON_RESOLVE_H
#define DAEMON_RESOLVE_H

#include "daemon/request.h"

/* From the store only. ENOENT. */
must_check int resolve_local(struct tasks *ts, const struct request *rq, struct store_task **out,
			     struct err *e);
/* From the cluster or the origin; makes it in the store. Errors as task_open's. */
must_check int resolve_remote(struct tasks *ts, const struct request *rq, struct store_task **out,
			      struct err *e);

/* Makes it in the store; for those whom resolve_remote() asks. headers may be NULL. EFBIG. */
must_check int resolve_create(struct tasks *ts, const struct request *rq, uint64_t len,
			      const char *headers, struct store_task **out, struct err *e);

#endif
