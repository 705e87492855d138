/* Group fixtures of tests that make or serve calls: gRPC and the timer's thread run for all of a
 * file's tests. */
#ifndef TEST_UNIT_RPC_GROUP_H
#define TEST_UNIT_RPC_GROUP_H

#include "base/timer.h"
#include "proto/rpc.h"

static inline int rpc_group_setup(void **state)
{
	(void)state;
	timer_start();
	rpc_init();
	return 0;
}

static inline int rpc_group_teardown(void **state)
{
	(void)state;
	rpc_shutdown();
	timer_stop();
	return 0;
}

#endif
