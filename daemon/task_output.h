/*
 * A task's content as a file of its own (X-Dragonfly-Output-Path): a copy (shared blocks where the
 * file system can), or a hard link if it is insisted on: who writes to that one writes into the
 * store. Only below a directory that the configuration names, without following links out of it:
 * the request comes over the network.
 */
#ifndef DAEMON_TASK_OUTPUT_H
#define DAEMON_TASK_OUTPUT_H

#include "base/err.h"
#include "daemon/task.h"

struct task_output {
	const char *dir;  /* absolute; what path must lie below */
	const char *path; /* absolute */
	bool hard_link;
	int64_t deadline_ms;  /* clock_ms() to the completion */
	const bool *stopping; /* looked at while it waits (atomic) */
};

/* EACCES: path is not a file's below dir. Does not block. */
must_check int task_output_check(const char *dir, const char *path, struct err *e);
/* Blocks until t is complete and verified, then puts it at path, replacing what is there, whole or
 * not at all. ETIMEDOUT, ECANCELED, EACCES, ENOENT (no such directory), EXDEV, ENOSPC, ... */
must_check int task_output_write(struct task *t, const struct task_output *o, struct err *e);

#endif
