/* Messages under way, all equally long: first in, first out. */
#ifndef TEST_SIM_MAIL_H
#define TEST_SIM_MAIL_H

#include "control/scheduler/state.h"

struct letter {
	int64_t due_us;
	uint32_t what;
	uint32_t child, arg;
	uint32_t parent_count;
	uint32_t parents[PEER_PARENTS_MAX];
};

struct mail {
	struct letter *ring;
	size_t cap, first, count;
};

void mail_init(struct mail *m);
void mail_release(struct mail *m);
/* due_us never goes back. The letter is zeroed but for these. */
struct letter *mail_post(struct mail *m, int64_t due_us, uint32_t what, uint32_t child,
			 uint32_t arg);
/* False if nothing is due. */
bool mail_take(struct mail *m, int64_t now_us, struct letter *out);

#endif
