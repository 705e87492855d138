/*
 * What the pieces' own files share; nobody else includes it.
 *
 *	piece.c		states, readers, what becomes of a piece that was taken
 *	piece_take.c	what a fetcher takes next
 */
#ifndef DAEMON_PIECE_PRIVATE_H
#define DAEMON_PIECE_PRIVATE_H

#include "base/geometry.h"
#include "base/lock.h"
#include "daemon/ahead.h"
#include "daemon/piece.h"

#define PIECE_BUCKETS 64

enum { ABSENT, UNPROVEN, WANTED, RESERVED, FETCHING, READY, VOLATILE };

/* Somebody waits for this piece. */
struct want {
	uint32_t index;
	int64_t since_ms;
	struct list link;   /* in wanted, oldest first; alone while the piece is FETCHING */
	struct list bucket; /* in buckets */
	struct list waiters;
};

struct pieces {
	struct geometry g;	   /* constant */
	struct store_task *st;	   /* constant */
	struct piece_tally *tally; /* constant */
	struct lock lock;	   /* rank 30, for all below */
	uint8_t *state;
	uint64_t *open;	    /* bit: may be taken */
	uint64_t *unproven; /* bit: is UNPROVEN; NULL if none ever was */
	uint32_t ready_count, fetching_count;
	uint64_t ready_bytes;
	uint32_t low; /* all below are READY */
	enum piece_rank all_rank;
	uint32_t hurried[PIECE_HURRIED_MAX]; /* + 1; 0 = none */
	unsigned hurried_next;
	struct ahead ahead;
	unsigned waiters;
	struct list wanted;
	struct list buckets[PIECE_BUCKETS];
	struct list volatiles;
	unsigned volatile_count;
	struct list shown; /* struct hold, of pieces that are FETCHING */
};

/* ---- with the lock */

/* piece.c */
void piece_set_state(struct pieces *p, uint32_t index, int state);
/* NULL: nobody waits for it. */
struct want *piece_want_find(struct pieces *p, uint32_t index);

/* piece_take.c: what sequential readers will come to soon is not all here or on its way. */
bool pieces_have_ahead(struct pieces *p);

#endif
