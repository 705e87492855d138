/*
 * The worker threads of all downloads, and who is served next: downloads somebody waits for, first
 * come first served, then the others in turn. Work that nobody waits for gets at most three
 * quarters of the threads, and of one download's share, so a read that misses finds a thread.
 *
 * Must not know: what the work is.
 */
#ifndef DAEMON_CREW_H
#define DAEMON_CREW_H

#include "base/list.h"
#include "daemon/piece.h"

struct crew;

/* One download's place in the queue, embedded. */
struct gang {
	/* Before each look for work, and also when the gang has all the hands it may have. One
	 * thread at a time is not assured. May block for short. */
	void (*look)(struct gang *g);
	/* Finds work of rank least or above and describes it in *work (size bytes of the crew's).
	 * Returns its rank, PIECE_NONE if there is none. */
	enum piece_rank (*choose)(struct gang *g, enum piece_rank least, void *work);
	void (*perform)(struct gang *g, void *work); /* may block */
	unsigned hands_max;			     /* how many work for it at a time */
	/* private */
	struct list link;
	bool queued, urgent, left;
	unsigned hands, rest_hands, visitors;
};

struct crew *crew_new(unsigned threads, size_t work_size);
/* No gang may be left. */
void crew_free(struct crew *c);
/* There may be work. Any thread, with any lock below rank 35. */
void crew_kick(struct crew *c, struct gang *g, bool urgent);
/* True if someone works for it or it is queued. */
bool crew_is_busy(struct crew *c, struct gang *g);
/* Waits until nobody works for it; nobody will. */
void crew_leave(struct crew *c, struct gang *g);

#endif
