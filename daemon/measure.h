/* Content whose length the origin does not tell: it is read to its end, into a file without name
 * next to the store, and then put into the store as a task that is complete. Nobody can read it
 * before. */
#ifndef DAEMON_MEASURE_H
#define DAEMON_MEASURE_H

#include "daemon/request.h"

/* EFBIG: longer than is allowed. Blocks for the whole download. */
must_check int measure(struct tasks *ts, const struct request *rq, const struct source *s,
		       const char *headers, struct store_task **out, struct err *e);

#endif
