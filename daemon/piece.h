/*
 * The pieces of one task: where readers and fetchers meet, and nowhere else.
 *
 *	state		what it means				who moves it on
 *	ABSENT		nobody waits for it			piece_read -> WANTED,
 *								piece_take -> FETCHING
 *	UNPROVEN	on disk, not compared since a crash	piece_take (prove) -> FETCHING
 *	WANTED		a reader waits				piece_take -> FETCHING,
 *								last waiter gone -> ABSENT
 *	RESERVED	next in a run that one fetcher streams	piece_claim -> FETCHING,
 *								piece_take (steal) -> FETCHING
 *	FETCHING	one fetcher has it			piece_publish -> READY,
 *								piece_give_back -> WANTED | ABSENT
 *	READY		in the store, verified			piece_forget (bad bytes) -> ABSENT
 *	VOLATILE	in memory, the disk is full: good for	pieces_drop_volatile, newer ones
 *			readers, does not count as READY	-> ABSENT
 *
 * The second asker of a piece joins the list of waiters; it starts nothing and holds no thread.
 * Hit and miss leave by the same door: waiter.done().
 *
 * A piece that is FETCHING may be shown by blocks: a reader all of whose bytes lie in blocks that
 * were verified is answered before the rest is here. What it is given is a copy in memory that is
 * written once and that it keeps as it keeps a volatile piece: the place in the store may be
 * punched, written anew by another parent or given up, and the reader's bytes stay what they were.
 *
 * Must not know: where bytes come from, schedulers, threads.
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
	void *hold;   /* a piece's memory, if it is there that fd has it; NULL mostly */
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
	bool follows; /* it reads what others want: nothing is read ahead for it */
	/* private to piece.c */
	struct list link;
	struct pieces *pieces;
	struct timer timer;
	uint32_t index, len;
	uint64_t off;
	int state;
};

struct pieces; /* opaque; one per task */
struct store_task;

/* Why a piece is fetched, most urgent first. */
enum piece_rank {
	PIECE_URGENT, /* a reader waits for it */
	PIECE_NEAR,   /* a sequential reader will come to it soon */
	PIECE_REST,   /* the whole is wanted */
	PIECE_NONE,
};

#define PIECE_WAITERS_MAX 4096 /* of one task */
#define PIECE_HURRIED_MAX 8    /* the latest count */

/* Shared by the pieces of all tasks; embedded, zeroed but for waiters_max. All atomic. */
struct piece_tally {
	unsigned waiters_max; /* constant */
	unsigned waiters;
	unsigned volatiles; /* pieces kept in memory */
	uint64_t hits, misses;
};

/* Looks at what the store has. Both are borrowed and must outlive the pieces. */
struct pieces *pieces_new(struct store_task *st, struct piece_tally *tally);
/* Nobody may be waiting. NULL is fine. */
void pieces_free(struct pieces *p);

/* ---- readers */

/* [off, off+len) lies in one piece, len > 0 (EINVAL). done() gets ETIMEDOUT after timeout_ms,
 * ENOBUFS at the bounds. True: there is something to fetch that was not there before. */
must_check bool piece_read(struct pieces *p, uint64_t off, uint32_t len, struct waiter *w,
			   int64_t timeout_ms);
/* True: taken back, done() will not be called. False: done() has been or is being called. The
 * caller sees to it that the pieces live until this returns. */
bool piece_read_cancel(struct waiter *w);
/* From now on all pieces are wanted at this rank or a more urgent one. */
void pieces_want_all(struct pieces *p, enum piece_rank rank);
/* Somebody else's reader waits for it: as long as all is wanted anyway it is as urgent as what our
 * own readers wait for, after those. Does not make it wanted. */
void piece_hurry(struct pieces *p, uint32_t index);
bool piece_is_ready(struct pieces *p, uint32_t index);
/* A reader waits for it. */
bool piece_is_awaited(struct pieces *p, uint32_t index);
uint32_t pieces_ready_count(struct pieces *p);
uint64_t pieces_ready_bytes(struct pieces *p);

/* ---- fetchers */

struct piece_job {
	uint32_t index;
	enum piece_rank rank;
};
/* Takes the most urgent piece of rank least or above that is to be fetched. have: a bitmap of the
 * pieces that can be got, NULL = any. */
must_check bool piece_take(struct pieces *p, enum piece_rank least, const uint64_t *have,
			   struct piece_job *out);
/* As piece_take(), but only what a reader waits for or will come to soon. */
must_check bool piece_take_near(struct pieces *p, enum piece_rank least, const uint64_t *have,
				struct piece_job *out);

/* What one parent has, beside the others of a download. */
struct piece_offer {
	const uint64_t *have;	 /* bitmap */
	const uint64_t *rare[2]; /* bitmaps: what the fewest parents have, what the next fewest */
	uint32_t from;		 /* where to begin among equals: at random */
};
/* As piece_take(), of what nobody waits for the rarest first. */
must_check bool piece_take_rare(struct pieces *p, enum piece_rank least,
				const struct piece_offer *offer, struct piece_job *out);
/* The one that a reader has waited for since before_ms (clock_ms()), if it is not in have. */
must_check bool piece_take_overdue(struct pieces *p, const uint64_t *have, int64_t before_ms,
				   struct piece_job *out);
/* As piece_take(), for pieces that are to be proved. */
must_check bool piece_take_proof(struct pieces *p, enum piece_rank least, struct piece_job *out);
/* Reserves the pieces after a taken one for the same fetcher, as long as they are wanted and nobody
 * else's: at most count_max pieces and bytes_max bytes, its own not counted. Returns how many. A
 * reader that would wait long behind the run may have one stolen: claim each before its bytes. */
uint32_t piece_reserve(struct pieces *p, uint32_t index, enum piece_rank least, uint32_t count_max,
		       uint64_t bytes_max);
/* Takes one piece that is reserved by the caller or that nobody has. False: it is READY or
 * another's. */
must_check bool piece_claim(struct pieces *p, uint32_t index);
/* Here it is, as the store has it: volatile_fd is what store_slot_commit() gave. Wakes its waiters.
 */
void piece_publish(struct pieces *p, uint32_t index, int volatile_fd);
/* The block that the first who waits for it wants first. False: nobody waits. */
bool piece_awaited_block(struct pieces *p, uint32_t index, unsigned *block_out);
/* From now on the one that is FETCHING is shown from fd, of store_shown_open(), which becomes the
 * pieces': valid until the piece is published or given back. */
void piece_show(struct pieces *p, uint32_t index, int fd);
/* A block of it was verified and is in that fd, at its own offset. Wakes those who wait for no
 * other. */
void piece_show_block(struct pieces *p, uint32_t index, unsigned block);
/* Not fetched after all: one that was taken or claimed. */
void piece_give_back(struct pieces *p, uint32_t index);
/* Those of [index, index+count) that are still RESERVED are nobody's again. */
void piece_unreserve(struct pieces *p, uint32_t index, uint32_t count);
/* Answers everybody who waits with e, and nothing is wanted any more. */
void pieces_fail(struct pieces *p, const struct err *e);
/* Only pieces that readers wait for are wanted. */
void pieces_want_none(struct pieces *p);
/* Its bytes turned out wrong, and the store has dropped them. */
void piece_forget(struct pieces *p, uint32_t index);
void pieces_forget_all(struct pieces *p);
/* Lets volatile pieces go that nobody read for so long; 0 = all. */
void pieces_drop_volatile(struct pieces *p, int64_t idle_ms);

struct pieces_need {
	bool urgent;		/* a reader waits for a piece that nobody fetches */
	bool proof;		/* a piece is to be compared with what is known of it */
	bool fetch;		/* a piece that is not on disk is wanted, and nobody fetches it */
	bool possible;		/* ... and it is in have */
	bool fetching;		/* somebody has a piece */
	int64_t stuck_since_ms; /* since when a reader waits for a piece that is not in have; 0 =
				   none */
	uint32_t stuck;		/* that piece */
	bool complete;		/* all are READY */
	unsigned waiters;
};
/* have as for piece_take(). */
void pieces_need(struct pieces *p, const uint64_t *have, struct pieces_need *out);
/* A piece that a reader waits for and that is not in have. */
struct piece_stuck {
	uint32_t index;
	int64_t since_ms;
	uint32_t lacking; /* pieces before it that are to be fetched and not in have either */
};
/* The first max. Returns how many. */
unsigned pieces_stuck(struct pieces *p, const uint64_t *have, struct piece_stuck *out,
		      unsigned max);
/* Numbers of pieces that are not READY, ascending; the caller frees. NULL if there are none. */
uint32_t *pieces_missing(struct pieces *p, size_t *count_out);

#endif
