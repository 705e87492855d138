/*
 * The parents of one download: which pieces each has announced, how idle its link is, who is asked
 * next, who is not asked again. Guarded by a lock that the owner lends; parents' callbacks take it.
 *
 *	feeder		meaning
 *	live		its streams are open or it told all it has
 *	ended		its piece stream broke: what it announced is still tried
 *	dropped		failed; freed by swarm_reap(), not taken again in this conversation, nor in
 *any other of this task if it sent wrong bytes
 *
 * Must not know: schedulers, pieces' states, workers.
 */
#ifndef DAEMON_SWARM_H
#define DAEMON_SWARM_H

#include "base/geometry.h"
#include "base/list.h"
#include "base/lock.h"
#include "daemon/parent.h"
#include "daemon/piece.h"

#define SWARM_FEEDERS_MAX 32 /* in one conversation, dropped ones among them */

struct swarm;

/* One parent. Fields are private to swarm.c but info, which never changes. */
struct feeder {
	struct parent_info info;
	struct swarm *swarm;
	unsigned refs, in_flight, misses, losses;
	struct parent *parent; /* NULL while opening and once reaped */
	struct net_addr addr;  /* where it said its pieces are */
	bool by_blocks;	       /* ... and may be asked for so */
	uint64_t *have;	       /* bitmap */
	uint64_t *offered;     /* bitmap, of these: may be had though nobody waits for them */
	uint64_t *again;       /* bitmap, of these: offered once more */
	uint64_t tx, tx_max;
	bool told, ended, dropped;
	unsigned asked;	   /* as swarm.c's asked */
	int64_t told_ms;   /* when it announced a piece last; 0 = never */
	uint32_t pace_ms;  /* between two such, of late */
	uint32_t usual_ms; /* that a piece takes, of late; 0 = none came yet */
	unsigned late;	   /* pieces that another parent was sooner with, since its last one */
	struct list link;
};

struct swarm_config {
	const char *task_id;
	const char *own_host_id;
	struct geometry geometry;
	struct lock *lock;	    /* not held: new, free, add, reap, clear; held: all others */
	void (*changed)(void *arg); /* without lock: a piece was announced or a parent went */
	void *arg;
};

/* Texts are borrowed. */
struct swarm *swarm_new(const struct swarm_config *c);
void swarm_free(struct swarm *s);
/* Opens those that are new here. At most one thread at a time adds, reaps and clears. Returns how
 * many were taken. */
unsigned swarm_add(struct swarm *s, const struct parent_info *infos, size_t count,
		   const char *own_peer_id, const uint32_t *missing, size_t missing_count);
/* Asks all parents again for pieces that readers wait for and that none has announced, or that do
 * not come. The lock and the thread as for swarm_add(). */
void swarm_ask_sooner(struct swarm *s, const uint32_t *numbers, size_t count);
/* Tells all parents whether there is room for another piece. The lock and the thread likewise. */
void swarm_tell_room(struct swarm *s, bool full);
/* What parents keep for later is offered now. True if there was such a thing; with the lock. */
bool swarm_offer_all(struct swarm *s);
/* Frees what was dropped. */
void swarm_reap(struct swarm *s);
/* Ends a conversation: all parents go; only those who sent wrong bytes are remembered. */
void swarm_clear(struct swarm *s);

/* Pieces that somebody has; NULL if there is nobody. Valid until the lock is dropped. */
const uint64_t *swarm_have(const struct swarm *s);
unsigned swarm_count(const struct swarm *s); /* not dropped */
/* There is something to reap. */
bool swarm_has_dropped(const struct swarm *s);
/* Some parent may still announce more. */
bool swarm_is_live(const struct swarm *s);
/* A parent for this piece, weighted by idle bandwidth, with a reference and counted as in flight;
 * NULL if nobody has it. */
struct feeder *swarm_choose(struct swarm *s, uint32_t index);
/* The same, but not this one. */
struct feeder *swarm_choose_other(struct swarm *s, uint32_t index, const struct feeder *but);
bool swarm_others_have(const struct swarm *s, uint32_t index, const struct feeder *but);
/* Another one has pieces. */
bool swarm_has_others(const struct swarm *s, const struct feeder *but);
/* All parents that have something, in an order drawn by idle bandwidth; the first count. */
unsigned swarm_draw(struct swarm *s, struct feeder *out[SWARM_FEEDERS_MAX]);
/* What this one offers beside what the others have. Valid until the lock is dropped or another is
 * asked for. */
struct piece_offer swarm_offer(struct swarm *s, const struct feeder *f);
/* Chosen: as swarm_choose() leaves it. */
void swarm_take(struct feeder *f);
/* The piece is here or not; gives the reference back. */
void swarm_done(struct swarm *s, struct feeder *f);
/* A piece has come from it, in so many milliseconds. */
void swarm_delivered(struct feeder *f, int64_t ms);
/* Another was sooner with a piece: it is chosen less often until it delivers. */
void swarm_late(struct feeder *f);
/* What a piece takes, from this one or, if that is not known, from the others; 0 = none came yet.
 */
uint32_t swarm_usual_ms(const struct swarm *s, const struct feeder *f);
/* What those that may still announce need for a piece, the slowest of them: to send one, or to come
 * by the next; 0 = not known. */
uint32_t swarm_pace_ms(const struct swarm *s);
/* It said ENOENT: it is not asked for this piece again, and dropped if it does that often. */
void swarm_missed(struct swarm *s, struct feeder *f, uint32_t index);
/* It did not come by this piece itself: it is not asked for it before it offers it again, and
 * dropped, which is returned, if that happens very often. */
bool swarm_lost(struct swarm *s, struct feeder *f, uint32_t index);
/* True the first time. forever: wrong bytes. */
bool swarm_drop(struct swarm *s, struct feeder *f, bool forever);
/* Those that were tried in this conversation. Returns how many. */
size_t swarm_tried(const struct swarm *s, struct parent_info *out, size_t max);

#endif
