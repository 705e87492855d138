/* Bitmaps: arrays of words of 64 bits. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdbool.h>
#include <stdint.h>

static inline bool bit_get(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static inline void bit_set(uint64_t *bits, uint32_t i)
{
	bits[i / 64] |= UINT64_C(1) << i % 64;
}

static inline void bit_clear(uint64_t *bits, uint32_t i)
{
	bits[i / 64] &= ~(UINT64_C(1) << i % 64);
}

static inline void bit_put(uint64_t *bits, uint32_t i, bool on)
{
	if (on)
		bit_set(bits, i);
	else
		bit_clear(bits, i);
}

/* How many of the first count are on in bits and not in others (NULL = none is). */
static inline uint32_t bits_alone(const uint64_t *bits, const uint64_t *others, uint32_t count)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < count; i += 64) {
		uint64_t alone = bits[i / 64] & ~(others ? others[i / 64] : 0);

		if (count - i < 64)
			alone &= (UINT64_C(1) << (count - i)) - 1;
		n += (uint32_t)__builtin_popcountll(alone);
	}
	return n;
}

#endif
