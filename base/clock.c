/* Time, real or a test's. */
#include "base/clock.h"

#include <limits.h>
#include <stddef.h>
#include <time.h>

static const int64_t *fake;

void clock_fake(const int64_t *ms)
{
	__atomic_store_n(&fake, ms, __ATOMIC_RELEASE);
}

bool clock_is_fake(void)
{
	return __atomic_load_n(&fake, __ATOMIC_ACQUIRE) != NULL;
}

static int64_t now_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_us(void)
{
	const int64_t *f = __atomic_load_n(&fake, __ATOMIC_ACQUIRE);

	return f ? __atomic_load_n(f, __ATOMIC_RELAXED) * 1000 : now_us(CLOCK_MONOTONIC);
}

int64_t clock_ms(void)
{
	return clock_us() / 1000;
}

int64_t clock_wall_ms(void)
{
	return now_us(CLOCK_REALTIME) / 1000;
}

int clock_left_ms(int64_t deadline_ms)
{
	int64_t left;

	if (deadline_ms == 0)
		return -1;
	left = deadline_ms - clock_ms();
	if (left < 0)
		return 0;
	return left > INT_MAX ? INT_MAX : (int)left;
}
