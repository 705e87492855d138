/* Who is expected to ask for a piece (callers.h). */
#include "daemon/callers.h"

#include <string.h>

#define FACTOR	 2  /* times the usual time, and somebody does not come */
#define SHARE_OF 16 /* what one more counts against those before */

void callers_init(struct callers *c)
{
	*c = (struct callers){.wait_ms = CALLERS_WAIT_MS, .share = CALLERS_ALL};
}

static void forget(struct callers *c, unsigned at)
{
	memmove(&c->list[at], &c->list[at + 1], (--c->count - at) * sizeof(c->list[0]));
}

void callers_told(struct callers *c, uint32_t number, int64_t now_ms)
{
	if (c->count == CALLERS_MAX)
		forget(c, 0);
	c->list[c->count++] = (struct caller){number, now_ms, false};
}

/* New ones count for a quarter. */
static void measure(struct callers *c, int64_t took_ms)
{
	int64_t wait_ms = (3 * c->wait_ms + FACTOR * took_ms) / 4;

	if (wait_ms < CALLERS_WAIT_MS_MIN)
		wait_ms = CALLERS_WAIT_MS_MIN;
	c->wait_ms = wait_ms < CALLERS_WAIT_MS_MAX ? wait_ms : CALLERS_WAIT_MS_MAX;
}

/* Those who are late are remembered for as long as anybody may be waited for, so that waiting too
 * shortly is found out. */
void callers_asked(struct callers *c, uint32_t number, int64_t now_ms)
{
	while (c->count > 0 && now_ms - c->list[0].told_ms > CALLERS_WAIT_MS_MAX)
		forget(c, 0);
	for (unsigned i = 0; i < c->count; i++) {
		if (c->list[i].number != number)
			continue;
		measure(c, now_ms - c->list[i].told_ms);
		c->share += (CALLERS_ALL - c->share) / SHARE_OF;
		forget(c, i);
		return;
	}
}

unsigned callers_expected(struct callers *c, int64_t now_ms)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->count; i++) {
		struct caller *one = &c->list[i];

		if (!one->missed && now_ms - one->told_ms >= c->wait_ms) {
			one->missed = true;
			c->share -= c->share / SHARE_OF;
		}
		n += !one->missed;
	}
	return (n * c->share + CALLERS_ALL / 2) / CALLERS_ALL;
}
