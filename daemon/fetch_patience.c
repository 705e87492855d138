/*
 * How long a reader is kept waiting for a piece that no parent has announced. Half way to taking it
 * from the origin all parents are asked for it; a seed that reads the origin then reads it next.
 * Not sooner: all who read in order want the same pieces at the same time, and a crowd in step
 * takes twice as long. In the end it comes from the origin, but not while that would only
 * bring it twice through the same narrow link: parents need long for each piece, or have just
 * brought others that they were asked for.
 */
#include "base/bits.h"
#include "base/clock.h"
#include "daemon/fetch_private.h"

#include <string.h>

#define PATIENCE_MS_MAX 30000
#define AGAIN_MS	500 /* between looks at what else readers have waited for long */
#define PACE_PIECES	3   /* what comes just now, the one that is waited for, its way here */

/* A parent may be busy fetching just the piece that is missing, for about a second per MiB. */
static int64_t least_ms(const struct fetch *f)
{
	return f->all->c.patience_ms + (f->meta->geometry.piece_length >> 10);
}

/* Parents brought what they were asked for, a while ago at most. */
static bool are_helpful(const struct fetch *f)
{
	return f->helped_ms && clock_ms() - f->helped_ms < least_ms(f);
}

int64_t fetch_patience_ms(const struct fetch *f)
{
	int64_t ms = least_ms(f);
	int64_t paced = f->all->c.patience_ms + PACE_PIECES * (int64_t)swarm_pace_ms(f->swarm);

	ms = paced > ms ? paced : ms;
	return ms < PATIENCE_MS_MAX && !are_helpful(f) ? ms : PATIENCE_MS_MAX;
}

static void note_help(struct fetch *f, const uint64_t *have)
{
	for (unsigned i = 0; i < f->sooner_count; i++) {
		if (!have || !bit_get(have, f->sooner[i]))
			continue;
		f->helped_ms = clock_ms();
		f->sooner[i--] = f->sooner[--f->sooner_count];
	}
}

static bool was_asked(const struct fetch *f, uint32_t index)
{
	for (unsigned i = 0; i < f->sooner_count; i++)
		if (f->sooner[i] == index)
			return true;
	return false;
}

bool fetch_ask_sooner(struct fetch *f, const struct pieces_need *need, int64_t *due_ms_out)
{
	int64_t now = clock_ms(), at = need->stuck_since_ms + least_ms(f) / 2;
	uint32_t stuck[SOONER_MAX];
	const uint64_t *have = swarm_have(f->swarm);
	unsigned count, known = 0;

	*due_ms_out = 0;
	note_help(f, have);
	if (f->mode != PARENTS || need->stuck_since_ms == 0)
		return false;
	*due_ms_out = now < at ? at : now + AGAIN_MS;
	if (now < at)
		return false;
	count = pieces_stuck(f->pieces, have, now - least_ms(f) / 2, stuck, SOONER_MAX);
	for (unsigned i = 0; i < count; i++)
		known += was_asked(f, stuck[i]);
	if (known == count)
		return false;
	memcpy(f->sooner, stuck, count * sizeof(stuck[0]));
	f->sooner_count = count;
	return true;
}
