/*
 * The pieces of a task that somebody is interested in: each is given once, when it is READY, or
 * when it comes and may be passed on; in that case once more if it is lost. Costs three bits per
 * piece of the task and no thread, so many may follow one task.
 *
 *	wanted	ready	coming	a piece
 *	1	0	0	is not to be had
 *	1	1	0	is READY, and to be given
 *	1	1	1	comes, and is to be given
 *	1	0	1	was given as it came, and is not READY yet
 *	0	0	0	was given, or nobody is interested
 */
#ifndef DAEMON_PIECE_FEED_H
#define DAEMON_PIECE_FEED_H

#include "base/lock.h"
#include "daemon/task.h"

struct piece_feed {
	struct task *task; /* borrowed while it is open */
	struct task_watch watch;
	/* Something is new: a piece, completion, a failure. Any thread, without locks, must not
	 * block. */
	void (*wake)(void *arg);
	void *arg;
	uint32_t piece_count;
	bool takes_coming; /* atomic */
	struct lock lock;
	/* all below: lock */
	uint64_t *wanted, *ready, *coming; /* bits */
	uint32_t left;			   /* wanted */
	uint32_t at;			   /* where to look next */
	struct err failed;		   /* code 0 = has not; the first of them */
};

/* numbers: which; those that the task has not got are left out. NULL: [first, end). wake() may be
 * called before this returns. */
void piece_feed_open(struct piece_feed *f, struct task *t, const uint32_t *numbers, size_t count,
		     uint32_t first, uint32_t end, void (*wake)(void *arg), void *arg);
/* From now on pieces that come and may be passed on are given as well. */
void piece_feed_take_coming(struct piece_feed *f);
/* wake() is not running afterwards and will not be called. Not from wake(). */
void piece_feed_close(struct piece_feed *f);
/* Gives a piece that is READY, lower ones first. */
bool piece_feed_next(struct piece_feed *f, uint32_t *number_out);
/* As piece_feed_next(), but not one that is set in avoid (bits, NULL = none), looking from a piece
 * on, round about. */
bool piece_feed_take(struct piece_feed *f, const uint64_t *avoid, uint32_t from,
		     uint32_t *number_out);
/* There is something to give. */
bool piece_feed_has(struct piece_feed *f);
/* How many are still to be given, or may have to be given again. */
uint32_t piece_feed_left(struct piece_feed *f);
/* True if the task failed; *e says why. */
bool piece_feed_failed(struct piece_feed *f, struct err *e);

#endif
