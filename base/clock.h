/* Time. Deadlines are absolute monotonic milliseconds; wall time is only for people and records.
 * Tests may freeze it with clock_fake(). */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

int64_t clock_ms(void);	     /* monotonic */
int64_t clock_us(void);	     /* monotonic */
int64_t clock_wall_ms(void); /* since 1970 */

/* From now on clock_ms() is *ms and clock_us() is 1000 times it; NULL: the real clock again. */
void clock_fake(const int64_t *ms);
/* Whoever sleeps until a deadline then has to look again every few milliseconds. */
bool clock_is_fake(void);

/* Milliseconds left until the deadline, 0 if it has passed, at most INT_MAX; -1 for "none"
 * (deadline_ms 0). Fits poll() and epoll_wait(). */
int clock_left_ms(int64_t deadline_ms);

#endif
