/* The scheduler's state with the defaults of control/scheduler/config.c, for tests, benches and the
 * simulator: who wants a field otherwise sets it. */
#ifndef TEST_STATE_CONFIG_H
#define TEST_STATE_CONFIG_H

#include "control/scheduler/state.h"

static inline struct state_config state_config_usual(void)
{
	return (struct state_config){
		.algorithm = PICK_SKIMMER,
		.candidate_parent_limit = 4,
		.filter_parent_limit = 40,
		.back_to_source_count = 200,
		.wait_ms = 2000,
		.refuse_ms = 500,
		.seed_wait_ms = 5000,
		.seed_failed_ms = 30000,
		.peer_ttl_ms = 24 * 3600 * 1000,
		.host_ttl_ms = 3600 * 1000,
		.piece_timeout_ms = 30 * 60 * 1000,
		.random_seed = 1,
	};
}

#endif
