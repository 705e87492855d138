/*
 * The pieces of one task: where readers and fetchers meet, and nowhere else.
 *
 *	state		what it means				who moves it on
 *	ABSENT		nobody asked				piece_read, piece_want -> WANTED
 *	UNPROVEN	on disk, not compared since a crash	piece_take (prove) -> READY | ABSENT
 *	WANTED		a reader or a prefetch asked		piece_take -> FETCHING
 *	FETCHING	one fetcher has it			piece_publish -> READY,
 *								piece_give_back -> WANTED | ABSENT
 *	READY		in the store, verified			piece_forget (bad bytes) -> ABSENT
 *
 * The second asker of a piece joins the list of waiters; it starts nothing and holds no thread.
 * Hit and miss leave by the same door: waiter.done().
 */
#ifndef DAEMON_PIECE_H
#define DAEMON_PIECE_H

#include "base/err.h"
#include "base/list.h"
#include "base/timer.h"

#include <stdbool.h>
#include <stdint.h>

/* Verified bytes that may be sent from fd as they are. */
struct extent {
	int fd;	      /* borrowed: valid while the reader holds its task and this extent */
	uint64_t off; /* where the asked bytes start in fd */
	uint32_t len; /* as asked, never short */
	void *hold;   /* a volatile piece's memory; NULL mostly */
};
/* Lets go of an extent whose hold was taken over by extent_keep(). */
void extent_release(struct extent *x);
/* Makes an extent outlive done(): the copy must be released. */
struct extent extent_keep(const struct extent *x);

/* A read that waits, embedded in its owner. */
struct waiter {
	/* Exactly one of x and e is set. Called once, without locks, on any thread (at once, by the
	 * caller's own, if the bytes are here). Must not block. x is valid during the call only,
	 * unless kept. The waiter's memory is the owner's again. */
	void (*done)(struct waiter *w, const struct extent *x, const struct err *e);
	void *arg;
	/* private to piece.c */
	struct list link;
	struct pieces *pieces;
	struct timer timer;
	uint32_t index, len;
	uint64_t off;
	int state;
};

struct pieces; /* opaque; embedded in a task, made by pieces_new() */

#endif
