/* Tokens by the clock: credit up to burst, debt without a bound (the debtor waits it off). */
#include "base/bucket.h"

#include "base/clock.h"

#include <math.h>

#define RANK_BUCKET 95

void bucket_init(struct bucket *b, uint64_t rate_per_s, uint64_t burst_min)
{
	lock_init(&b->lock, RANK_BUCKET);
	b->rate = rate_per_s;
	b->burst = (double)rate_per_s / 10;
	if (b->burst < (double)burst_min)
		b->burst = (double)burst_min;
	b->tokens = b->first = b->burst;
	b->at_us = clock_us();
}

void bucket_release(struct bucket *b)
{
	lock_release(&b->lock);
}

static void refill(struct bucket *b)
{
	int64_t now_us = clock_us();
	double earned = (double)(now_us - b->at_us) * (double)b->rate / 1e6;

	if (now_us <= b->at_us)
		return;
	b->tokens = fmin(b->tokens + earned, b->burst);
	b->first = fmin(b->first + earned, b->burst);
	b->at_us = now_us;
}

static int64_t wait_ms(const struct bucket *b, double tokens)
{
	return tokens >= 0 ? 0 : (int64_t)(-tokens * 1000 / (double)b->rate) + 1;
}

int64_t bucket_take(struct bucket *b, uint64_t n)
{
	if (b->rate == 0)
		return 0;
	lock_guard(&b->lock);
	refill(b);
	b->tokens -= (double)n;
	return wait_ms(b, b->tokens);
}

int64_t bucket_take_first(struct bucket *b, uint64_t n)
{
	if (b->rate == 0)
		return 0;
	lock_guard(&b->lock);
	refill(b);
	b->tokens -= (double)n;
	b->first -= (double)n;
	return wait_ms(b, b->first);
}

bool bucket_try(struct bucket *b, uint64_t n)
{
	if (b->rate == 0)
		return true;
	lock_guard(&b->lock);
	refill(b);
	if (b->tokens < (double)n)
		return false;
	b->tokens -= (double)n;
	return true;
}
