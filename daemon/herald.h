/*
 * Who is told next of which piece. Told to all children at once a new piece is asked for by all of
 * them, and the link sends the same bytes as often as there are children before it sends anything
 * else. So the children that follow one task are told in turn, what the fewest know first, while
 * few uploads run; what the link sends to one of them it gets on to the others.
 *
 *	is told			when
 *	the only follower	of everything at once, unless it is paced
 *	one of several		in its turn, while fewer uploads run than there are slots (slots.h);
 *				of what nobody knows while not more do; of what somebody knows only
 *				when nothing is sent, while the task comes from the origin
 *	who says it is full	after the others, of what they know just as well
 *	who lists few pieces	before the others, of what some know: mostly a reader waits for it
 *	who was told nothing	in any case: after overdue_ms if nobody else was either, or after
 *	  for long		as many times that as there are followers
 *
 * Must not know: streams, messages, what a child is.
 */
#ifndef DAEMON_HERALD_H
#define DAEMON_HERALD_H

#include "daemon/actor.h"
#include "daemon/host.h"
#include "daemon/piece_feed.h"

#define HERALD_GRANTS_MAX 8 /* that a follower has not taken yet */
#define HERALD_URGENT_MAX 4 /* a list of so few pieces is urgent */

struct herald;

/* Somebody who follows a task, embedded in its owner. */
struct follower {
	/* the owner sets these */
	struct actor *actor; /* woken when there is something to take */
	struct piece_feed *feed;
	bool urgent;
	bool paced;	     /* told in turn even if it is alone: it knows what is here */
	const char *host_id; /* borrowed */
	/* private, the herald's lock */
	bool full;
	struct round *round;
	struct list link;
	uint32_t grants[HERALD_GRANTS_MAX];
	unsigned grant_count;
	int64_t waiting_ms; /* since when there is something that it is not told; 0 = not seen */
};

/* Both are borrowed. The pool has room for one more actor. overdue_ms: nobody waits longer than
 * about that to be told something; 0 = 3 s. */
struct herald *herald_new(struct host *host, struct pool *pool, int64_t overdue_ms);
/* Nobody may follow any more. Waits until it does not run. NULL is fine. */
void herald_free(struct herald *h);
/* The feed is open. */
void herald_join(struct herald *h, struct follower *f);
/* Before the feed is closed. */
void herald_leave(struct herald *h, struct follower *f);
/* A host that follows a task has no room for another piece of it, or has again. Any thread, never
 * blocks; nothing if nobody is it. Foreign words: whoever says it of another keeps that one waiting
 * for as long as there are others to tell, no longer. */
void herald_room(struct herald *h, const char *task_id, const char *host_id, bool full);
/* Some feed may have something new. Any thread, never blocks. */
void herald_wake(struct herald *h);
/* A piece that this follower is to be told of now. */
bool herald_take(struct herald *h, struct follower *f, uint32_t *number_out);
/* How many pieces it has not taken yet, had or not. */
uint32_t herald_left(struct herald *h, struct follower *f);

#endif
