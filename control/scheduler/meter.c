/* Two windows: one that fills, one that is whole. */
#include "control/scheduler/meter.h"

void meter_add(struct meter *m, uint64_t bytes, int64_t now_ms)
{
	int64_t window = now_ms / METER_WINDOW_MS;

	if (window != m->window) {
		m->before = window == m->window + 1 ? m->now : 0;
		m->now = 0;
		m->window = window;
	}
	m->now += bytes;
	m->total += bytes;
}

uint64_t meter_rate(const struct meter *m, int64_t now_ms)
{
	int64_t behind = now_ms / METER_WINDOW_MS - m->window;
	uint64_t bytes = behind == 0 ? m->before : behind == 1 ? m->now : 0;

	return bytes * 1000 / METER_WINDOW_MS;
}
