/* Digests on top of OpenSSL, ISA-L and xxHash. Its newer interface (EVP) hides where a sum stands,
 * so this is the older one. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include "base/mem.h"

#include <assert.h>
#include <endian.h>
#include <isa-l/crc.h>
#include <openssl/sha.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

struct sha256 {
	SHA256_CTX ctx;
};

struct sha256 *sha256_new(void)
{
	struct sha256 *s = mem_new(struct sha256);

	if (SHA256_Init(&s->ctx) != 1)
		abort();
	return s;
}

void sha256_state(const struct sha256 *s, uint8_t out[SHA256_STATE_LEN])
{
	assert(s->ctx.num == 0);
	for (size_t i = 0; i < 8; i++) {
		uint32_t word = htobe32(s->ctx.h[i]);

		memcpy(out + 4 * i, &word, 4);
	}
}

struct sha256 *sha256_new_at(const uint8_t state[SHA256_STATE_LEN], uint64_t bytes_before)
{
	struct sha256 *s = sha256_new();

	assert(bytes_before % 64 == 0);
	for (size_t i = 0; i < 8; i++) {
		uint32_t word;

		memcpy(&word, state + 4 * i, 4);
		s->ctx.h[i] = be32toh(word);
	}
	s->ctx.Nl = (uint32_t)(bytes_before << 3);
	s->ctx.Nh = (uint32_t)(bytes_before >> 29);
	return s;
}

void sha256_update(struct sha256 *s, const void *data, size_t len)
{
	if (SHA256_Update(&s->ctx, data, len) != 1)
		abort();
}

static void to_hex(const unsigned char *raw, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[raw[i] >> 4];
		out[2 * i + 1] = digits[raw[i] & 15];
	}
	out[2 * len] = 0;
}

void sha256_final(struct sha256 *s, char hex_out[DIGEST_HEX_LEN + 1])
{
	unsigned char raw[SHA256_DIGEST_LENGTH];

	if (SHA256_Final(raw, &s->ctx) != 1)
		abort();
	to_hex(raw, sizeof(raw), hex_out);
}

void sha256_free(struct sha256 *s)
{
	free(s);
}

void sha256_hex(const void *data, size_t len, char hex_out[DIGEST_HEX_LEN + 1])
{
	struct sha256 *s = sha256_new();

	sha256_update(s, data, len);
	sha256_final(s, hex_out);
	sha256_free(s);
}

uint32_t crc32_update(uint32_t crc, const void *data, size_t len)
{
	crc = crc32_gzip_refl(crc, data, len);
#ifdef __x86_64__
	/* ISA-L 2.30 leaves the upper halves of the vector registers dirty, which makes all SSE
	 * code that follows (XXH3, memcpy) up to four times slower. */
	if (__builtin_cpu_supports("avx"))
		__asm__ volatile("vzeroupper");
#endif
	return crc;
}

/* a * b modulo CRC-32's polynomial; the highest bit is x^0. */
static uint32_t crc32_multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (uint32_t bit = UINT32_C(1) << 31; bit; bit >>= 1) {
		if (a & bit)
			product ^= b;
		b = b >> 1 ^ (b & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return product;
}

/* x^(8 * bytes): what a CRC-32 is multiplied by when so many bytes follow. */
static uint32_t crc32_power(uint64_t bytes)
{
	uint32_t power = UINT32_C(1) << 31, square = UINT32_C(1) << 23;

	for (; bytes; bytes >>= 1) {
		if (bytes & 1)
			power = crc32_multiply(power, square);
		square = crc32_multiply(square, square);
	}
	return power;
}

uint32_t crc32_of_parts(const uint32_t *parts, uint32_t part_len, uint64_t len)
{
	uint32_t crc = 0, power = crc32_power(part_len);

	for (; len > part_len; len -= part_len)
		crc = crc32_multiply(crc, power) ^ *parts++;
	return crc32_multiply(crc, crc32_power(len)) ^ *parts;
}

_Static_assert(sizeof(XXH3_state_t) <= sizeof(((struct xxh3 *)0)->state), "xxh3 state fits");

void xxh3_init(struct xxh3 *x)
{
	XXH3_state_t *s = (XXH3_state_t *)x->state;

	XXH3_INITSTATE(s);
	XXH3_64bits_reset(s);
}

void xxh3_update(struct xxh3 *x, const void *data, size_t len)
{
	XXH3_64bits_update((XXH3_state_t *)x->state, data, len);
}

uint64_t xxh3_final(const struct xxh3 *x)
{
	return XXH3_64bits_digest((const XXH3_state_t *)x->state);
}

uint64_t xxh3_of(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

bool digest_is_hex64(const char *text)
{
	size_t n = strspn(text, "0123456789abcdef");

	return n == DIGEST_HEX_LEN && text[n] == 0;
}

bool digest_is_sha256(const char *text, const char **hex_out)
{
	if (strncmp(text, "sha256:", 7) != 0 || !digest_is_hex64(text + 7))
		return false;
	*hex_out = text + 7;
	return true;
}
