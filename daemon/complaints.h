/* What the piece server has to say of those who ask it, and of its disk: one line per kind and
 * minute. */
#ifndef DAEMON_COMPLAINTS_H
#define DAEMON_COMPLAINTS_H

#include <stdint.h>

enum complaint {
	BAD_TAG,
	BAD_LENGTH,
	BAD_TASK_ID,
	SLOW_HEADER,
	SLOW_READER,
	TOO_MANY,
	NO_DESCRIPTORS,
	DISK_FAILED,
	COMPLAINTS,
};

/* Embedded, zeroed. All atomic. */
struct complaints {
	int64_t told_ms[COMPLAINTS];
	uint64_t since[COMPLAINTS]; /* not told yet */
};

const char *complaint_text(enum complaint kind);
/* fd: whose peer it is about, -1 = none. Any thread. */
void complain(struct complaints *c, enum complaint kind, int fd);

#endif
