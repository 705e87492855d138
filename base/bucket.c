/* Tokens by the clock: credit up to burst, debt without a bound (the debtor waits it off). */
#include "base/bucket.h"

#include "base/clock.h"

#define RANK_BUCKET 95

void bucket_init(struct bucket *b, uint64_t rate_per_s, uint64_t burst_min)
{
	lock_init(&b->lock, RANK_BUCKET);
	b->rate = rate_per_s;
	b->burst = (double)rate_per_s / 10;
	if (b->burst < (double)burst_min)
		b->burst = (double)burst_min;
	b->tokens = b->burst;
	b->at_us = clock_us();
}

void bucket_release(struct bucket *b)
{
	lock_release(&b->lock);
}

static void refill(struct bucket *b)
{
	int64_t now_us = clock_us();

	if (now_us <= b->at_us)
		return;
	b->tokens += (double)(now_us - b->at_us) * (double)b->rate / 1e6;
	if (b->tokens > b->burst)
		b->tokens = b->burst;
	b->at_us = now_us;
}

int64_t bucket_take(struct bucket *b, uint64_t n)
{
	if (b->rate == 0)
		return 0;
	lock_guard(&b->lock);
	refill(b);
	b->tokens -= (double)n;
	if (b->tokens >= 0)
		return 0;
	return (int64_t)(-b->tokens * 1000 / (double)b->rate) + 1;
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
