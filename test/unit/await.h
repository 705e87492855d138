/* Waiting for what another thread or program does. The bound is for machines that do a hundred
 * other things; what is waited for usually takes milliseconds. */
#ifndef TEST_UNIT_AWAIT_H
#define TEST_UNIT_AWAIT_H

#include "test/unit/unit.h"

#include "base/clock.h"

#include <poll.h>

#define AWAIT_MS 30000

#define await_that(expression)                                                                     \
	do {                                                                                       \
		int64_t until_ms_ = clock_ms() + AWAIT_MS;                                         \
		while (!(expression) && clock_ms() < until_ms_)                                    \
			poll(NULL, 0, 1);                                                          \
		assert_true(expression);                                                           \
	} while (0)

#endif
