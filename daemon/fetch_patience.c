/*
 * How long a reader is kept waiting for a piece that no parent has announced. Then all parents are
 * asked for it, and a seed that reads the origin reads it next:
 *
 *	the piece is	parents are asked		because
 *	far		at once				a seed reads the origin from the start to
 *							the end and comes to it much later
 *	near		half way to taking it from	a seed comes to it in a moment; all who read
 *			the origin			in order want it at the same time, and a
 *							crowd in step takes twice as long
 *
 * It is far if more than a few pieces before it are neither here nor at parents; for whoever reads
 * in order none are. What was asked for is asked for once more after the longer of these times:
 * parents may be new, or may not have begun to read the origin then. In the end it comes from the
 * origin, but not while that would only bring it twice through the same narrow link: parents need
 * long for each piece, or have just brought others that they were asked for.
 */
#include "base/bits.h"
#include "base/clock.h"
#include "daemon/fetch_private.h"

#include <string.h>

#define PATIENCE_MS_MAX 30000
#define PACE_PIECES	3  /* what comes just now, the one that is waited for, its way here */
#define NEAR_PIECES	4  /* parents come to it by themselves after no more than these */
#define GATHER_MS	5  /* readers that begin together ask together */
#define STUCK_MAX	32 /* that are looked at */

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

/* When parents are to be asked for it. */
static int64_t due_of(const struct fetch *f, const struct piece_stuck *stuck)
{
	return stuck->since_ms + (stuck->lacking > NEAR_PIECES ? GATHER_MS : least_ms(f) / 2);
}

static void sooner_of(int64_t *due_ms, int64_t other_ms)
{
	if (*due_ms == 0 || other_ms < *due_ms)
		*due_ms = other_ms;
}

/* As many as one question takes of those that are due, the oldest first. Returns how many of them
 * the last one did not ask for. *due_ms_out: when the next of the others is due; 0 = none. */
static unsigned gather(const struct fetch *f, int64_t now, uint32_t *out, unsigned *count_out,
		       int64_t *due_ms_out)
{
	struct piece_stuck stuck[STUCK_MAX];
	unsigned count = pieces_stuck(f->pieces, swarm_have(f->swarm), stuck, STUCK_MAX), fresh = 0;

	*count_out = 0;
	*due_ms_out = 0;
	for (unsigned i = 0; i < count; i++) {
		int64_t due = due_of(f, &stuck[i]);

		if (now < due) {
			sooner_of(due_ms_out, due);
		} else if (*count_out < SOONER_MAX) {
			out[(*count_out)++] = stuck[i].index;
			fresh += !was_asked(f, stuck[i].index);
		}
	}
	return fresh;
}

bool fetch_ask_sooner(struct fetch *f, const struct pieces_need *need, int64_t *due_ms_out)
{
	int64_t now = clock_ms(), again = f->sooner_ms + least_ms(f) / 2;
	uint32_t stuck[SOONER_MAX];
	unsigned count, fresh;

	*due_ms_out = 0;
	note_help(f, swarm_have(f->swarm));
	if (f->mode != PARENTS || need->stuck_since_ms == 0)
		return false;
	fresh = gather(f, now, stuck, &count, due_ms_out);
	if (count == 0)
		return false;
	if (fresh == 0 && now < again) {
		sooner_of(due_ms_out, again);
		return false;
	}
	memcpy(f->sooner, stuck, count * sizeof(stuck[0]));
	f->sooner_count = count;
	f->sooner_ms = now;
	return true;
}
