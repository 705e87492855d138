/*
 * Children that were told of a piece and are expected to ask for it: until then they count as
 * uploads, or the next would be told at once, and the next. How long asking takes is the way there
 * and back through whatever waits in front of the link, and is measured; who takes much longer has
 * the piece from elsewhere, or no hand free. In a crowd those are most, so it is measured too how
 * many of those who were told come, and that share of them is expected.
 *
 * Not thread-safe; no clock of its own. Must not know: children, tasks, links.
 */
#ifndef DAEMON_CALLERS_H
#define DAEMON_CALLERS_H

#include <stdbool.h>
#include <stdint.h>

#define CALLERS_MAX	    64
#define CALLERS_WAIT_MS	    100 /* until something was measured */
#define CALLERS_WAIT_MS_MIN 20
#define CALLERS_WAIT_MS_MAX 1000
#define CALLERS_ALL	    1024

/* Fields are private. */
struct callers {
	struct caller {
		uint32_t number;
		int64_t told_ms;
		bool missed; /* did not ask in time */
	} list[CALLERS_MAX]; /* told longest ago first */
	unsigned count;
	int64_t wait_ms;
	unsigned share; /* that asks in time, of CALLERS_ALL */
};

void callers_init(struct callers *c);
/* Somebody was told of this piece. */
void callers_told(struct callers *c, uint32_t number, int64_t now_ms);
/* Somebody has asked for it, expected or not. */
void callers_asked(struct callers *c, uint32_t number, int64_t now_ms);
/* How many are still expected. */
unsigned callers_expected(struct callers *c, int64_t now_ms);

#endif
