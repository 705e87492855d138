/*
 * A cluster under a virtual clock: hosts, links and downloads are modelled here, the scheduler is
 * the real one (control/scheduler/state.c, schedule.c, pick.c).
 *
 *	host 0 is the origin, then come the seeds, then the peers
 *	child (host, task) is one download; its index is (host - 1) * tasks + task
 */
#ifndef TEST_SIM_WORLD_H
#define TEST_SIM_WORLD_H

#include "base/bits.h"
#include "test/sim/mail.h"
#include "test/sim/net.h"
#include "test/sim/scenario.h"

#define FEEDERS_MAX 32 /* SWARM_FEEDERS_MAX */
#define HANDS_MAX   16
#define ORIGIN	    0

enum child_mode { ABSENT, SCHEDULING, PARENTS, FROM_ORIGIN, DONE, FAILED, DEAD };

/* What children tell the scheduler, and hear from it. */
enum letter_what {
	SAY_REGISTER,
	SAY_STARTED,
	SAY_SOURCE,
	SAY_PIECE,	  /* arg: index, parents[0]: cost in ms */
	SAY_PIECE_FAILED, /* parents[0] */
	SAY_RESCHEDULE,
	SAY_FINISHED,
	SAY_GONE,
	SEED_ENDED, /* arg: well */
	HEAR_PARENTS,
	HEAR_SOURCE,
	HEAR_REFUSED,
	HEAR_SEED, /* a seed is asked */
	HEAR_PIECE /* arg: feeder's place, parents[0]: index */
};

struct feeder {
	uint32_t child;
	uint8_t in_flight;
	bool dropped;
	uint64_t *told;	     /* bitmap: what it has announced */
	uint64_t *under_way; /* ... and what it is announcing */
};

/* A child of a child, for which news go out. */
struct listener {
	uint32_t child, feeder; /* its place among the listener's feeders */
};

struct child {
	enum child_mode mode;
	uint32_t host, task, done, busy, feeder_count, reschedules;
	bool asked, started, told_source, has_peer;
	bool is_full;	   /* as its parents were told last */
	int64_t full_us;   /* when that was */
	struct peer *peer; /* the scheduler's */
	struct feeder feeders[FEEDERS_MAX];
	struct flow hands[HANDS_MAX];
	uint64_t *have, *flight, *coming; /* bitmaps: here; under way; passed on */
	struct listener *listeners;
	uint32_t listener_count, listener_cap;
	uint32_t turn;		/* the listener that is told next */
	bool has_news;		/* somebody has not been told all */
	uint64_t *once, *often; /* bitmaps: told to one, to more listeners */
	int64_t begun_us, ended_us, progress_us;
	int64_t cost_us; /* of all its pieces */
};

struct sim_host {
	struct host *known; /* the scheduler's */
	double up, down;    /* bytes per second */
	uint32_t rack, uploads;
	bool is_seed, is_slow, is_liar, is_dead;
	uint64_t sent, sent_before;
	double tx; /* bytes per second, as last announced */
	int64_t dies_us;
};

struct tally {
	uint64_t letters, origin_bytes, wasted_bytes, rack_bytes, peer_bytes, reschedules;
	uint64_t to_source, refused, corrupt;
	double scheduler_s, longest_s; /* of CPU, in the scheduler's code */
};

struct world {
	const struct scenario *sc;
	struct state state;
	struct net *net;
	struct sim_host *hosts;
	uint32_t host_count;
	struct child *children;
	uint32_t child_count, pieces, words;
	uint32_t piece_length;
	uint32_t *active, active_count; /* children that may fetch */
	uint32_t *herald, herald_count; /* children that have news */
	uint32_t ended;			/* peers' children that are DONE, FAILED or DEAD */
	struct mail to_scheduler, to_child, announced;
	int64_t now_us, step_us, latency_us, tick_us, gc_us, rates_us;
	uint32_t joined, seed_turn;
	bool seed_was_killed;
	uint64_t random, *bits;
	struct tally tally;
	double *timeline; /* per second: bytes that peers' hosts sent */
	uint32_t timeline_count;
};

/* ---- world.c */
struct world *world_new(const struct scenario *sc, const struct state_config *config,
			uint64_t seed);
void world_free(struct world *w);
/* Until every child has ended; false: it did not within limit_s of virtual time. */
bool world_run(struct world *w, double limit_s);
uint64_t world_random(struct world *w);
struct child *world_child(struct world *w, uint32_t host, uint32_t task);
uint32_t world_index(const struct world *w, const struct child *c);
uint32_t world_piece_bytes(const struct world *w, uint32_t index);
/* A child has ended. */
void world_retire(struct world *w, struct child *c, enum child_mode mode);

/* ---- talk.c: the scheduler and the letters to and from it */
struct letter *talk_say(struct world *w, const struct child *c, enum letter_what what,
			uint32_t arg);
void talk_open(struct world *w, const struct state_config *config);
/* Delivers what is due, and the scheduler's ticks. */
void talk_deliver(struct world *w);

/* ---- news.c: who is told of which piece, and when */
/* c opens the stream of its new feeder: it is told all that is there. */
void news_subscribe(struct world *w, struct child *c, uint32_t feeder);
/* c has a new piece. */
void news_add(struct world *w, struct child *c, uint32_t piece);
/* Tells what may be told now. False: nothing is left to tell. */
bool news_tell(struct world *w, struct child *c);

/* ---- coming.c: what is passed on before it is whole */
/* Sets how fast a flow to c may be. False: its sender will not have the piece. */
bool coming_limits(struct world *w, const struct child *c, struct flow *f);
/* Some of a piece is here: it is announced when that is enough. */
void coming_moved(struct world *w, struct child *c, const struct flow *f);
/* Its sender may announce the piece again. */
void coming_lost(struct world *w, struct child *c, const struct flow *f);

/* ---- child.c: a download, as daemon/fetch.c and swarm.c do it */
void child_begin(struct world *w, struct child *c, bool from_origin);
void child_hear(struct world *w, struct child *c, const struct letter *l);
/* Starts what can be started, or asks for other parents. */
void child_act(struct world *w, struct child *c);
/* All its flows end. */
void child_stop(struct world *w, struct child *c);
/* A flow ended: all its bytes are here, or its sender died. */
void child_arrived(struct world *w, struct child *c, struct flow *f);
/* A flow ended because its sender did not get the piece itself. */
void child_lost(struct world *w, struct child *c, struct flow *f);

#endif
