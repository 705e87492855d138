/* How many pieces are sent at a time (slots.h). */
#include "daemon/slots.h"

#include <stdbool.h>

#define SAMPLE_MS  750
#define GLANCE_MS  200
#define SILENCE_MS 2000 /* no speed is measured over so long */
#define SPEED_OF   2	/* what one glance counts against those before */
#define FORGET_OF  150	/* the best is half forgotten after 100 glances */

#define TIMES_COUNT 4
#define REST_FIRST  3 /* samples: what began last is not disturbed at once */
#define REST_MAX    31

/* What the link can stays known. */
static void begin_anew(struct slots *s, int64_t now_ms, uint64_t sent)
{
	s->count = s->first;
	s->extra = 0;
	s->was_full = false;
	s->doubles = s->is_steady;
	s->pause = 0;
	s->rest = s->is_steady ? REST_FIRST : 0;
	s->step = 0;
	s->direction = 1;
	s->sampled_ms = now_ms;
	s->sampled_bytes = sent;
}

void slots_init(struct slots *s, unsigned first, bool is_steady, int64_t now_ms, uint64_t sent)
{
	*s = (struct slots){.first = first,
			    .is_steady = is_steady,
			    .glanced_ms = now_ms,
			    .glanced_bytes = sent};
	begin_anew(s, now_ms, sent);
}

static uint64_t rate_of(uint64_t from, uint64_t to, int64_t ms)
{
	return to > from ? (to - from) * 1000 / (uint64_t)ms : 0;
}

/* One more after each glance through which all ran and the link sent less than it can: what that
 * one does to it shows in the next. */
static void widen(struct slots *s, uint64_t rate, unsigned running)
{
	bool full = running >= slots_now(s);

	if (full && s->was_full && rate < s->best / 16 * 15) {
		if (slots_now(s) < TIMES_COUNT * s->count)
			s->extra++;
	} else if ((!full || s->was_full) && s->extra > 0) {
		s->extra--;
	}
	s->was_full = full;
}

static void glance(struct slots *s, int64_t now_ms, uint64_t sent, unsigned running)
{
	int64_t ms = now_ms - s->glanced_ms;
	uint64_t rate;

	if (ms < GLANCE_MS)
		return;
	rate = rate_of(s->glanced_bytes, sent, ms);
	if (ms < SILENCE_MS)
		s->speed = (s->speed * (SPEED_OF - 1) + rate) / SPEED_OF;
	widen(s, rate, running);
	s->glanced_ms = now_ms;
	s->glanced_bytes = sent;
	s->best -= s->best / FORGET_OF;
	if (s->best < s->speed)
		s->best = s->speed;
}

/* The further up, the longer the steps: a thousand slow children are found in seconds. */
static int step_of(const struct slots *s)
{
	if (s->doubles)
		return (int)s->count;
	return s->direction * (s->count < 8 ? 1 : (int)s->count / 4);
}

static void try(struct slots *s, uint64_t rate)
{
	int step = step_of(s);
	int count = (int)s->count + step;

	count = count < SLOTS_MIN ? SLOTS_MIN : count > SLOTS_MAX ? SLOTS_MAX : count;
	s->step = count - (int)s->count;
	s->count = (unsigned)count;
	s->rate = rate;
	if (s->step == 0)
		s->direction = -s->direction;
}

static void undo(struct slots *s)
{
	s->count -= (unsigned)s->step;
	s->step = 0;
}

static bool is_kept(const struct slots *s, uint64_t rate)
{
	return s->step > 0 ? rate >= s->rate / 20 * 21 : rate > 0 && rate >= s->rate / 100 * 97;
}

static void judge(struct slots *s, uint64_t rate)
{
	if (is_kept(s, rate)) {
		s->step = 0;
		s->pause = 0;
		return;
	}
	s->direction = -s->direction;
	s->doubles = false;
	if (s->is_steady)
		s->rest = s->pause = s->pause < REST_MAX ? 2 * s->pause + 1 : REST_MAX;
	undo(s);
}

void slots_sample(struct slots *s, int64_t now_ms, uint64_t sent, unsigned running)
{
	int64_t ms = now_ms - s->sampled_ms;
	uint64_t rate;

	glance(s, now_ms, sent, running);
	if (running == 0)
		begin_anew(s, now_ms, sent);
	if (running == 0 || ms < SAMPLE_MS)
		return;
	rate = rate_of(s->sampled_bytes, sent, ms);
	s->sampled_ms = now_ms;
	s->sampled_bytes = sent;
	if (running < s->count)
		undo(s); /* it is not they that are short */
	else if (s->rest > 0)
		s->rest--;
	else if (s->step == 0)
		try(s, rate);
	else if (s->step > 0 || running <= s->count)
		judge(s, rate); /* a step down shows when those above it have ended */
}

unsigned slots_now(const struct slots *s)
{
	return s->count + s->extra;
}
