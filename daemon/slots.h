/*
 * How many pieces are sent, or read from the origin, at a time: as few as fill the link. Each that
 * is beside others takes longer, and can be passed on only when it is whole; but whoever takes or
 * gives slowly leaves the link idle. What a link can is not known, as virtual ones promise
 *anything. So it is tried out:
 *
 *	one step up	is kept if the link sends noticeably more for it
 *	one step down	is kept unless the link sends noticeably less
 *
 * The last direction goes on while it is kept. Between the trials, as long as the link sends less
 *than it was seen to, one more may run every fifth of a second. Not sooner: what was let run shows
 *in the link's speed only then, and too many that run together keep each other from ending.
 *
 * Not thread-safe; no clock and no link of its own.
 */
#ifndef DAEMON_SLOTS_H
#define DAEMON_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#define SLOTS_MIN 1
#define SLOTS_MAX 48

/* Fields are private but count. */
struct slots {
	unsigned count;
	unsigned first, extra;
	bool is_steady, doubles;
	unsigned pause, rest; /* samples without a trial: last time, and still to come */
	bool was_full;	      /* as many ran at the last glance as may */
	int step;	      /* on trial; 0 = none */
	int direction;
	int64_t sampled_ms;
	uint64_t sampled_bytes, rate; /* bytes per second before the trial */
	int64_t glanced_ms;
	uint64_t glanced_bytes, speed, best; /* bytes per second: lately, and the most of late */
};

/* first: to begin with, and after each silence. is_steady: speeds do not rise by themselves, so the
 * first steps up are doublings, for as long as they are kept, and what was tried in vain is tried
 * again ever later. */
void slots_init(struct slots *s, unsigned first, bool is_steady, int64_t now_ms, uint64_t sent);
/* Somebody waits for a slot. sent: bytes that ever went; running: pieces that go now or are about
 * to. As often as one likes. */
void slots_sample(struct slots *s, int64_t now_ms, uint64_t sent, unsigned running);
/* How many may run now. */
unsigned slots_now(const struct slots *s);

#endif
