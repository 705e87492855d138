/* One timer thread for the process. Callbacks run on it, must be short and must not block. */
#ifndef BASE_TIMER_H
#define BASE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer {
	/* the owner sets these two */
	void (*fire)(struct timer *t);
	void *arg;
	/* private */
	int64_t at_ms;
	size_t slot; /* heap index + 1; 0 = not armed */
};

void timer_start(void); /* once, in main; idempotent */
void timer_stop(void);	/* joins; armed timers never fire */

/* (Re)arms. Any thread, also from fire(). */
void timer_arm(struct timer *t, int64_t delay_ms);
/* After it returns fire() is not running (unless called from fire() itself) and will not run. Must
 * not be called while holding a lock that fire() takes. */
void timer_cancel(struct timer *t);

#endif
