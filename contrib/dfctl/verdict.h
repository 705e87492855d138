/* Why one download took as long as it did: its sums of times in, a fault of the table out. Pure. */
#ifndef CONTRIB_DFCTL_VERDICT_H
#define CONTRIB_DFCTL_VERDICT_H

#include "base/fault.h"

#include <skimmer_v1.pb-c.h>

/* Where the time of a download went; the sum is its total. Microseconds. */
struct spent {
	uint64_t scheduler; /* until it answered */
	uint64_t idle;	    /* parents had announced nothing that was missing */
	uint64_t origin, origin_held;
	uint64_t peers, peers_held;
	uint64_t disk, verify;
	uint64_t lost; /* in tries that were for nothing */
};

struct verdict {
	const struct fault *fault; /* NULL: nothing is wrong */
	char text[400];
};

/* Transfers overlap: their times are scaled so that all is the total. */
void verdict_spent(const Skimmer__V1__Attempt *a, struct spent *out);
void verdict_of_attempt(const Skimmer__V1__Attempt *a, const Skimmer__V1__ExplainResponse *limits,
			struct verdict *out);
/* Of a request that was not answered by P2P. */
void verdict_of_request(const Skimmer__V1__Request *r, struct verdict *out);
uint64_t verdict_rate(uint64_t bytes, uint64_t us); /* bytes per second */

#endif
