/* Digests: sha256 is the name of a blob, CRC-32 (IEEE) goes with a piece on the wire, XXH3-64 finds
 * bit rot in the store. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define DIGEST_HEX_LEN 64

struct sha256; /* a running sha256 (OpenSSL EVP) */

struct sha256 *sha256_new(void);
void sha256_update(struct sha256 *s, const void *data, size_t len);
/* Writes 64 lower-case hex digits and a NUL; the object may only be freed afterwards. */
void sha256_final(struct sha256 *s, char hex_out[DIGEST_HEX_LEN + 1]);
void sha256_free(struct sha256 *s);
/* Where the sum stands after a multiple of 64 bytes: the eight words H of FIPS 180-4, 6.2.2. Who
 * goes on from there needs none of the bytes before. */
#define SHA256_STATE_LEN 32
void sha256_state(const struct sha256 *s, uint8_t out[SHA256_STATE_LEN]);
struct sha256 *sha256_new_at(const uint8_t state[SHA256_STATE_LEN], uint64_t bytes_before);
void sha256_hex(const void *data, size_t len, char hex_out[DIGEST_HEX_LEN + 1]);

/* Continues crc (start with 0). */
uint32_t crc32_update(uint32_t crc, const void *data, size_t len);
/* Of len > 0 bytes in parts, one after the other, each part_len bytes long but the last, from the
 * CRC-32 of each part. */
uint32_t crc32_of_parts(const uint32_t *parts, uint32_t part_len, uint64_t len);

/* A running XXH3-64, embedded. */
struct xxh3 {
	_Alignas(64) unsigned char state[640];
};
void xxh3_init(struct xxh3 *x);
void xxh3_update(struct xxh3 *x, const void *data, size_t len);
uint64_t xxh3_final(const struct xxh3 *x);
uint64_t xxh3_of(const void *data, size_t len);

/* Exactly 64 lower-case hex digits (what a task id and a sha256 look like). */
bool digest_is_hex64(const char *text);
/* "sha256:<64 hex>"; on success *hex_out points at the hex inside text. */
bool digest_is_sha256(const char *text, const char **hex_out);

#endif
