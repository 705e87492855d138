/* Bytes since the beginning, and a second over the last whole window. */
#ifndef CONTROL_SCHEDULER_METER_H
#define CONTROL_SCHEDULER_METER_H

#include <stdint.h>

#define METER_WINDOW_MS 2000

struct meter {
	uint64_t total, now, before; /* in this window and in the one before */
	int64_t window;
};

void meter_add(struct meter *m, uint64_t bytes, int64_t now_ms);
uint64_t meter_rate(const struct meter *m, int64_t now_ms); /* bytes per second */

#endif
