/*
 * One download's conversation with the scheduler: what it has told and has not been acted upon yet,
 * and what is told to it, in the order in which it wants to hear it (pieces only after "started").
 * Guarded by a lock that the owner lends; the scheduler's callbacks take it.
 *
 * Must not know: pieces' states, parents' streams, workers.
 */
#ifndef DAEMON_TALK_H
#define DAEMON_TALK_H

#include "base/lock.h"
#include "daemon/scheduler_client.h"

#define TALK_PARENTS_MAX 16

struct talk;

struct talk_news {
	struct parent_info parents[TALK_PARENTS_MAX];
	size_t parent_count;
	bool answered; /* there were parents (maybe none that is new) */
	bool to_origin;
	char why[160]; /* of to_origin */
	bool ready;    /* nothing to do */
	bool closed;
	struct err closed_e; /* of closed; code 0 = none given */
};

/* lock: not held for new, free, open, close; held for all others. changed: without lock. */
struct talk *talk_new(struct scheduler_client *sc, struct lock *lock, void (*changed)(void *arg),
		      void *arg);
void talk_free(struct talk *t);
/* Only while it is not open. One thread at a time opens and closes. */
void talk_open(struct talk *t, const struct schedule_register *reg);
enum talk_end { TALK_FINISHED, TALK_FAILED, TALK_DROPPED };
/* Does nothing if it is not open. why: of TALK_FAILED. */
void talk_close(struct talk *t, enum talk_end end, const char *why);

bool talk_is_open(const struct talk *t);	/* and the scheduler has not closed it */
bool talk_is_waiting(const struct talk *t);	/* ... nor answered yet */
const char *talk_peer_id(const struct talk *t); /* "" if not open */
/* The address of the scheduler; "" if not open or there is none. */
void talk_scheduler(const struct talk *t, char *text, size_t size);
/* Moves what was told into *out. False if there is nothing new. */
bool talk_take_news(struct talk *t, struct talk_news *out);
/* The download has parents, or goes to the origin. Told once, and only when the scheduler has
 * answered: more and earlier calls do nothing. */
void talk_started(struct talk *t);
void talk_to_origin(struct talk *t, const char *why);
/* parent_id NULL: from the origin. */
void talk_piece_finished(struct talk *t, uint32_t index, uint64_t offset,
			 const struct store_piece *piece, const char *parent_id);
void talk_piece_failed(struct talk *t, uint32_t index, const char *parent_id);
void talk_reschedule(struct talk *t, const struct parent_info *tried, size_t count,
		     const char *why);

#endif
