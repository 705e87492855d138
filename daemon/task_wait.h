/* Waiting for a task, for workers that nobody else waits for. The caller holds the task. */
#ifndef DAEMON_TASK_WAIT_H
#define DAEMON_TASK_WAIT_H

#include "daemon/task.h"

struct task_wait {
	int64_t deadline_ms;  /* clock_ms() */
	const bool *stopping; /* atomic; looked at a few times a second */
};

/* Wants the whole with this priority; the descriptor of it, borrowed. ETIMEDOUT, ECANCELED, and why
 * the task failed. */
must_check int task_wait_complete(struct task *t, enum task_priority p, const struct task_wait *w,
				  int *fd_out, struct err *e);
/* Until the piece is there; wants nothing by itself. The same errors. */
must_check int task_wait_piece(struct task *t, uint32_t index, const struct task_wait *w,
			       struct err *e);
/* Copies [off, off + len), which is inside the task, urgently. stopping as above. */
must_check int task_read_wait(struct task *t, uint64_t off, void *data, size_t len,
			      const bool *stopping, struct err *e);
/* The same for who goes after others: nothing is read ahead for it. */
must_check int task_follow_wait(struct task *t, uint64_t off, void *data, size_t len,
				const bool *stopping, struct err *e);

#endif
