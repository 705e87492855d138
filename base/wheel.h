/*
 * The deadlines of one loop: arm and cancel in constant time, granularity WHEEL_TICK_MS (never
 * early, at most two ticks late). Used by the loop's thread alone.
 */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include "base/loop.h"

#define WHEEL_TICK_MS 16
#define WHEEL_SLOTS   256

struct wheel {
	struct list near[WHEEL_SLOTS]; /* one tick each */
	struct list far[WHEEL_SLOTS];  /* one turn of near each; what is later waits in the last */
	int64_t tick;		       /* the next one to look at */
	size_t count;		       /* armed */
};

void wheel_init(struct wheel *w);
/* (Re)arms. */
void wheel_arm(struct wheel *w, struct loop_timer *t, int64_t now_ms, int64_t at_ms);
/* Fine if it is not armed. */
void wheel_cancel(struct wheel *w, struct loop_timer *t);
/* One timer that is due, disarmed; NULL if none is. */
struct loop_timer *wheel_pop(struct wheel *w, int64_t now_ms);
/* When wheel_pop() should be asked again, in ms from now; -1 = nothing is armed. */
int wheel_left_ms(const struct wheel *w, int64_t now_ms);

#endif
