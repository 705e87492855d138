/*
 * How many pieces are sent, or read from the origin, at a time: as few as fill the link. Each that
 * is beside others takes longer, and can be passed on only when it is whole; but whoever takes or
 * gives slowly leaves the link idle. What a link can is not known, as virtual ones promise
 *anything. So it is tried out:
 *
 *	one step up	is kept if the link sends noticeably more for it
 *	one step down	is kept unless the link sends noticeably less
 *
 * The last direction goes on while it is kept. Between the trials, whenever the link sends much
 *less than it was seen to, one more may run than do now.
 *
 * Not thread-safe; no clock and no link of its own.
 */
#ifndef DAEMON_SLOTS_H
#define DAEMON_SLOTS_H

#include <stdint.h>

#define SLOTS_FIRST 4
#define SLOTS_MIN   1
#define SLOTS_MAX   48

/* Fields are private but count. */
struct slots {
	unsigned count;
	int step; /* on trial; 0 = none */
	int direction;
	int64_t sampled_ms;
	uint64_t sampled_bytes, rate; /* bytes per second before the trial */
	int64_t glanced_ms;
	uint64_t glanced_bytes, speed, best; /* bytes per second: lately, and the most of late */
};

void slots_init(struct slots *s, int64_t now_ms, uint64_t sent);
/* Somebody waits for a slot. sent: bytes that ever went; running: pieces that go now. As often as
 * one likes. */
void slots_sample(struct slots *s, int64_t now_ms, uint64_t sent, unsigned running);
/* How many may run now, while so many do. */
unsigned slots_now(const struct slots *s, unsigned running);

#endif
