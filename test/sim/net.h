/*
 * Links and what flows over them, in steps of fixed length. A flow crosses its sender's uplink, its
 * receiver's downlink and, between racks, both racks' links. Each link keeps a fair share that one
 * round per step moves towards max-min fairness; a link that would be overrun in the meantime slows
 * all its flows alike, so nothing is ever sent faster than a link.
 *
 * Not modelled: slow start, loss, queues, what a disk or a CPU can do.
 */
#ifndef TEST_SIM_NET_H
#define TEST_SIM_NET_H

#include <stdbool.h>
#include <stdint.h>

#define FLOW_LINKS_MAX 4

struct flow {
	bool busy;
	uint8_t link_count;
	uint32_t links[FLOW_LINKS_MAX];
	uint32_t from, piece, feeder; /* host; index; the caller's */
	float left, rate;	      /* bytes, bytes per second */
	float limit;		      /* what its sender has for it, bytes per second */
	int64_t asked_us, ready_us;   /* the first byte leaves */
};

struct link {
	float cap, share;      /* bytes per second */
	float load, elsewhere; /* of this step: all; of flows held back by other links */
	float used;	       /* fraction of it, in the last step */
	uint32_t count, held;  /* flows; those that only this link holds back */
};

struct net {
	struct link *links;
	uint32_t link_count;
};

struct net *net_new(uint32_t link_count);
void net_free(struct net *n);
void net_set(struct net *n, uint32_t link, double bytes_per_s);

/* One step: net_begin(), net_ask() for each flow that is ready, net_settle(), net_move() for each.
 */
void net_begin(struct net *n);
void net_ask(struct net *n, struct flow *f);
void net_settle(struct net *n);
/* Returns the bytes moved; the flow is over when left is 0. */
float net_move(struct net *n, struct flow *f, double seconds);

#endif
