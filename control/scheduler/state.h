/*
 * What a scheduler knows: hosts, tasks, and peers (one download of a task on a host), in memory,
 * and for each task who feeds whom. No lock and no thread of its own, time is given: the service
 * calls it under one lock, the simulator under a virtual clock.
 *
 *	peer state	event that leads here			in the graph as
 *	PENDING		made					-
 *	RECEIVED	register, reschedule			child
 *	RUNNING		download started			child, parent
 *	BACK_TO_SOURCE	back-to-source started			parent
 *	SUCCEEDED	finished				parent
 *	FAILED		failed, its stream broke		-
 *	(gone)		leave, host gone, TTL			-
 *
 * A task has no state of its own beside that: its state follows from those of its peers
 * (task_state_name()), so the two cannot disagree. A host is here or it is not.
 */
#ifndef CONTROL_SCHEDULER_STATE_H
#define CONTROL_SCHEDULER_STATE_H

#include "base/list.h"
#include "base/map.h"
#include "control/scheduler/meter.h"
#include "control/scheduler/pick.h"

#include <stdbool.h>
#include <stdint.h>

#define PEER_PARENTS_MAX 16
#define TYPE_SEED	 1 /* host.type */

enum peer_state {
	PEER_PENDING,
	PEER_RECEIVED,
	PEER_RUNNING,
	PEER_BACK_TO_SOURCE,
	PEER_SUCCEEDED,
	PEER_FAILED,
	PEER_STATES
};

enum peer_event {
	PEER_EVENT_REGISTER,
	PEER_EVENT_STARTED,
	PEER_EVENT_BACK_TO_SOURCE,
	PEER_EVENT_FINISHED,
	PEER_EVENT_FAILED,
};

struct host {
	char *id, *hostname, *ip, *os, *version;
	char *idc, *location; /* changed by host_move() alone */
	char *place;	      /* both in one, in lower case; NULL = neither is known */
	uint32_t type;	      /* 0 normal, TYPE_SEED */
	int port, download_port;
	bool disable_shared;
	bool takes_more; /* its peers may be told of further parents at any time */
	uint64_t tx_max; /* bytes per second, 0 = unknown */
	int64_t announced_ms, interval_ms;
	struct list peers;			  /* peer.host_link */
	uint64_t assigned_bytes;		  /* contents of the children it was given */
	uint32_t assigned_pieces;		  /* their concurrent pieces */
	uint32_t child_count;			  /* edges from all its peers */
	bool unhealthy;				  /* a seed that failed its health check */
	struct meter received, from_origin, sent; /* traffic.h: what was reported */
};

/* Peers of a task at one place. */
struct crowd {
	char *place;
	struct peer **peers; /* peer.crowd_index */
	uint32_t count, cap;
};

struct task {
	char *id, *url, *digest, *tag, *application;
	uint64_t content_length;
	uint32_t piece_length, piece_count;
	struct peer **peers; /* first those who have something or will get it, see task_sort() */
	uint32_t able_count, peer_count, peer_cap;
	struct map *crowds; /* those of the able whose place is known; NULL while there are none */
	uint32_t in_state[PEER_STATES]; /* how many */
	struct list waiting;		/* peer.wait_link: want an answer */
	struct list waiting_link;	/* in state.waiting_tasks while somebody waits */
	uint32_t *holders;		/* per piece: peers that have it; NULL = not counted */
	uint32_t lost_pieces;		/* with no holder, complete peers not counted */
	int64_t created_ms, updated_ms;
	int64_t seed_asked_ms;	/* a seed's answer is out since; 0 = none */
	int64_t seed_failed_ms; /* when a seed last failed; 0 = never */
	uint32_t source_count;	/* peers told to read the origin, not ended */
	uint32_t feeder_count;	/* those of them that share what they get */
	int64_t feeder_told_ms; /* when the last of these was told */
};

/* parent feeds child. A mate is a parent that may be its child's child as well: it feeds what it
 * happens to have. The edges that are not mates make no circle. */
struct edge {
	struct peer *parent, *child;
	struct list link; /* parent.children */
	bool is_mate;
};

/* What a peer's pieces cost: the last, mean and spread of those before it (Welford). */
struct costs {
	uint32_t count; /* with the last */
	double mean, m2;
	uint32_t last_ms;
};

struct peer {
	char *id;
	struct host *host;
	struct task *task;
	struct list host_link, wait_link;
	uint32_t index;	     /* in task->peers */
	struct crowd *crowd; /* NULL = not able, or at no place */
	uint32_t crowd_index;
	enum peer_state state;
	int priority;
	bool need_back_to_source; /* asked by itself, or a seed told to */
	bool may_back_to_source;
	bool told_source; /* counted in task->source_count */
	bool is_feeder;	  /* and in task->feeder_count */
	uint32_t concurrent_pieces, finished_pieces;
	struct costs costs;
	struct edge *edges; /* to its parents, PEER_PARENTS_MAX; NULL while it has none */
	uint32_t parent_count, child_count;
	struct list children; /* edge.link */
	uint64_t *pieces;     /* bitmap of those it has; NULL = none or all */
	struct map *blocked;  /* ids of parents that are no good to it; NULL = none */
	uint64_t mark;	      /* visited in this walk of the graph */
	int64_t created_ms, updated_ms, wait_until_ms;
	int64_t asked_ms; /* for the trace: when it asked for parents; 0 = it did not */
	void *stream;	  /* the service's: where answers go, NULL = gone */
};

enum answer { ANSWER_PARENTS, ANSWER_BACK_TO_SOURCE, ANSWER_REFUSED, ANSWER_NOT_FOUND };

struct state_ops {
	/* Only queues; called inside a state_... call. why: for people, may be NULL. */
	void (*answer)(struct peer *p, enum answer a, struct peer *const *parents, unsigned count,
		       const char *why, void *arg);
	/* Ask a seed peer for the task; false: there is none. Its end comes as state_seed_ended().
	 */
	bool (*ask_seed)(struct task *t, const struct peer *for_peer, void *arg);
	/* p is about to be freed. */
	void (*removed)(struct peer *p, void *arg);
	void *arg;
};

struct state_config {
	enum pick_algorithm algorithm;
	unsigned candidate_parent_limit, filter_parent_limit, back_to_source_count;
	int64_t wait_ms;	/* a peer without parents goes to the origin after so long */
	int64_t refuse_ms;	/* one that may not is refused so much later */
	int64_t seed_wait_ms;	/* the same while a seed was asked */
	int64_t seed_failed_ms; /* no seed is asked again for so long after one failed */
	int64_t peer_ttl_ms, host_ttl_ms, piece_timeout_ms;
	uint64_t random_seed;
};

struct state {
	struct state_config config;
	struct state_ops ops;
	struct map *hosts, *tasks, *peers; /* by id */
	struct list waiting_tasks;	   /* task.waiting_link */
	uint64_t random, walk;
	uint64_t decisions;	/* answers given to those who asked */
	uint64_t introductions; /* told to others */
};

void state_init(struct state *s, const struct state_config *c, const struct state_ops *ops);
void state_release(struct state *s);

/* ---- hosts */
struct host *state_host(struct state *s, const char *id);
/* Makes it or gives the known one; the caller fills in or changes the fields by host_set_text(). */
struct host *state_host_announce(struct state *s, const char *id, int64_t now_ms);
void host_set_text(char **field, const char *text);
void host_move(struct host *h, const char *idc, const char *location); /* crowd.c */
/* All its peers leave. */
void state_host_remove(struct state *s, struct host *h, int64_t now_ms);

/* ---- tasks and peers */
struct task *state_task(struct state *s, const char *id);
struct task *state_task_make(struct state *s, const char *id, uint64_t content_length,
			     uint32_t piece_length, int64_t now_ms);
void state_task_remove(struct state *s, struct task *t);
struct peer *state_peer(struct state *s, const char *id);
/* An id that is known already is the same peer if host and task agree, else NULL. */
struct peer *state_peer_make(struct state *s, const char *id, struct host *h, struct task *t,
			     int64_t now_ms);
void state_peer_remove(struct state *s, struct peer *p, int64_t now_ms);
/* Its host speaks of the task anew: what earlier peers of the same host and task said, whose
 * streams are gone, is no longer so (a daemon that was killed and came back, a store that was
 * emptied). */
void state_peer_supersede(struct state *s, struct peer *p, int64_t now_ms);
/* False: the state does not allow it (nothing is changed). Wakes those that wait. */
bool state_peer_event(struct state *s, struct peer *p, enum peer_event event, int64_t now_ms);
/* Finished piece index, which may be nonsense (cost 0 = unknown). */
void state_peer_piece(struct state *s, struct peer *p, uint32_t index, uint32_t cost_ms,
		      int64_t now_ms);
/* Did its last piece cost far more than those before? */
bool state_peer_is_slow(const struct peer *p);
void state_peer_block(struct peer *p, const char *parent_id);
bool state_peer_is_blocked(const struct peer *p, const char *parent_id);
bool peer_is_source(const struct peer *p);	/* has or gets bytes without another peer */
const char *peer_state_name(enum peer_state s); /* Dragonfly's words */
const char *task_state_name(const struct task *t);
/* Puts p where it belongs in task.peers; to be called when its state, parents or pieces change. */
void task_sort(struct peer *p);
bool task_has_available_peer(const struct task *t);
/* p reads the origin, or is about to; it does no longer. Twice is as once. */
void task_source_add(struct peer *p, int64_t now_ms);
void task_source_remove(struct peer *p);

/* ---- decisions (schedule.c) */
/* The peer wants parents: an answer comes, at once or later. */
void state_schedule(struct state *s, struct peer *p, int64_t now_ms);
/* p has all of it or reads the origin, as nobody knew: some of those who have few parents are told.
 */
void state_offer(struct state *s, struct peer *p);
/* Something changed for the task: those that wait are looked at again. */
void state_wake(struct state *s, struct task *t, int64_t now_ms);
void state_seed_ended(struct state *s, const char *task_id, bool well, int64_t now_ms);
/* It could not even be asked, and is off the ring: another is. */
void state_seed_unreachable(struct state *s, const char *task_id, int64_t now_ms);
/* Time-outs of those that wait; call it every 50 ms or so. */
void state_tick(struct state *s, int64_t now_ms);
/* TTLs. Returns how many peers and hosts went. */
unsigned state_gc(struct state *s, int64_t now_ms);

/* ---- who has which piece (holdings.c) */
void holdings_add(struct peer *p, uint32_t index);
/* p has all, or is no more. */
void holdings_drop(struct peer *p);
/* Some piece is with nobody; true as well when pieces are not counted. */
bool holdings_lost(const struct task *t);

/* ---- who is near (crowd.c): task_sort() keeps it */
void crowd_enter(struct peer *p);
void crowd_leave(struct peer *p);
/* Those of its task that are where p is, and able; NULL = none. */
const struct crowd *crowd_of(const struct peer *p);
void crowds_free(struct task *t);

/* ---- the graph (graph.c) */
/* parent -> child, unless it would make a circle or a bound is reached. */
bool graph_link(struct state *s, struct peer *parent, struct peer *child);
/* The same as mates, circle or not. */
bool graph_link_mate(struct peer *parent, struct peer *child);
bool graph_is_parent(const struct peer *parent, const struct peer *child);
void graph_unlink_parents(struct peer *child);
void graph_unlink_children(struct peer *parent);
/* Would parent -> child close a circle? True as well when it cannot be told cheaply. */
bool graph_would_circle(struct state *s, struct peer *parent, const struct peer *child);

#endif
