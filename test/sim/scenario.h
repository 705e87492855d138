/* What is simulated: the table in scenario.c has every parameter of every named scenario. */
#ifndef TEST_SIM_SCENARIO_H
#define TEST_SIM_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

enum order { ORDER_ASCENDING, ORDER_RANDOM, ORDER_RAREST };

struct scenario {
	const char *name, *help;
	uint32_t peers, seeds, tasks; /* every peer downloads every task */
	uint64_t size;		      /* of each task */
	double link_mbit, seed_mbit, origin_mbit;
	uint32_t racks, idcs;  /* hosts are dealt out in turn; idcs divide the racks */
	double oversubscribed; /* all links of a rack / the rack's link; 0 = never full */
	double latency_ms;     /* one way, between any two hosts */
	double join_s;	       /* peers come evenly in this time */
	double slow, slow_by;  /* fraction; how many times slower, up and down */
	double liars;	       /* fraction that serves wrong bytes only */
	double leave;	       /* fraction that is killed at a random moment of its download */
	bool seed_warm;	       /* seeds have the tasks before anybody comes */
	double kill_seed_at;   /* fraction of the task the seed has when it is killed; 0 = never */
	unsigned hands;	       /* pieces that a child fetches at a time, of a task */
	enum order order;      /* which of the missing pieces is asked for */
	unsigned slots;	       /* a parent announces while so few uploads run; 0 = at once to all */
	bool parent_first;     /* draws a parent, then a piece it has; else the other way round */
	bool endgame;	       /* the last pieces are asked for twice */
	bool passes_on;	       /* pieces are passed on before they are whole */
	const char *published; /* somebody else's figures, for the report; NULL = none */
};

/* NULL: there is none of that name. */
const struct scenario *scenario_find(const char *name);
void scenario_list(void);

#endif
