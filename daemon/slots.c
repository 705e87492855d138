/* How many pieces are sent at a time (slots.h). */
#include "daemon/slots.h"

#include <stdbool.h>

#define SAMPLE_MS 750

void slots_init(struct slots *s, int64_t now_ms, uint64_t sent)
{
	*s = (struct slots){
		.count = SLOTS_FIRST, .direction = 1, .sampled_ms = now_ms, .sampled_bytes = sent};
}

/* The further up, the longer the steps: a thousand slow children are found in seconds. */
static void try(struct slots *s, uint64_t rate)
{
	int step = s->direction * (s->count < 8 ? 1 : (int)s->count / 4);
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
		return;
	}
	s->direction = -s->direction;
	undo(s);
}

void slots_sample(struct slots *s, int64_t now_ms, uint64_t sent, unsigned running)
{
	int64_t ms = now_ms - s->sampled_ms;
	uint64_t rate = sent > s->sampled_bytes ? (sent - s->sampled_bytes) * 1000 : 0;

	if (running == 0)
		slots_init(s, now_ms, sent);
	if (running == 0 || ms < SAMPLE_MS)
		return;
	rate /= (uint64_t)ms;
	s->sampled_ms = now_ms;
	s->sampled_bytes = sent;
	if (running < s->count)
		undo(s); /* it is not they that are short */
	else if (s->step == 0)
		try(s, rate);
	else if (s->step > 0 || running <= s->count)
		judge(s, rate); /* a step down shows when those above it have ended */
}
