/* A task that this node makes itself: its content is in a file here, nobody is asked for it. */
#ifndef DAEMON_TASK_IMPORT_H
#define DAEMON_TASK_IMPORT_H

#include "daemon/task.h"

/* Puts the whole of fd into the store as the task of content_for_id and announces it. A complete
 * one that is here already stays; what is there of another is dropped. Blocks on the disk; EBUSY:
 * the store has no room. */
must_check int task_import(struct tasks *ts, const char *content_for_id, int fd, struct err *e);

#endif
