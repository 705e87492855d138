/* base/digest, against published vectors. */
#include "test/unit/unit.h"

#include "base/digest.h"

#include <string.h>

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/* FIPS 180-2 appendix B */
static void a_sum_goes_on_from_where_another_stood(void **state)
{
	static unsigned char data[1 << 20];
	char want[DIGEST_HEX_LEN + 1], got[DIGEST_HEX_LEN + 1];
	uint8_t stand[SHA256_STATE_LEN];
	struct sha256 *s;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 2654435761u >> 13);
	for (size_t at = 0; at <= sizeof(data); at += 64 * 1024) {
		s = sha256_new();
		sha256_update(s, data, at);
		sha256_state(s, stand);
		sha256_free(s);
		s = sha256_new_at(stand, at);
		sha256_update(s, data + at, sizeof(data) - at);
		sha256_final(s, got);
		sha256_free(s);
		sha256_hex(data, sizeof(data), want);
		assert_string_equal(got, want);
	}
}

static void sha256_gives_the_published_values(void **state)
{
	char hex[DIGEST_HEX_LEN + 1], part[1000];
	struct sha256 *s = sha256_new();

	(void)state;
	sha256_hex("", 0, hex);
	assert_string_equal(hex, EMPTY);
	sha256_hex("abc", 3, hex);
	assert_string_equal(hex, ABC);
	memset(part, 'a', sizeof(part));
	for (int i = 0; i < 1000; i++)
		sha256_update(s, part, sizeof(part));
	sha256_final(s, hex);
	assert_string_equal(hex,
			    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	sha256_free(s);
	sha256_free(NULL);
}

/* The check value of CRC-32/ISO-HDLC in the catalogue of CRC algorithms. */
static void crc32_gives_the_published_values_in_any_parts(void **state)
{
	static const char digits[] = "123456789";

	(void)state;
	assert_int_equal(crc32_update(0, digits, 9), 0xcbf43926);
	assert_int_equal(crc32_update(0, "", 0), 0);
	for (size_t i = 0; i <= 9; i++)
		assert_int_equal(crc32_update(crc32_update(0, digits, i), digits + i, 9 - i),
				 0xcbf43926);
}

static void crc32_of_parts_is_that_of_the_whole(void **state)
{
	unsigned char data[5000];
	uint32_t parts[5000];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7 + i / 256);
	for (size_t len = 1; len <= sizeof(data); len += len / 3 + 1)
		for (uint32_t part = 1; part < 6000; part = part * 2 + 1) {
			unsigned n = 0;

			for (size_t at = 0; at < len; at += part)
				parts[n++] = crc32_update(0, data + at,
							  len - at < part ? len - at : part);
			assert_int_equal(crc32_of_parts(parts, part, len),
					 crc32_update(0, data, len));
		}
}

static void xxh3_gives_the_same_in_any_parts(void **state)
{
	unsigned char data[5000];
	struct xxh3 x;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7);
	assert_true(xxh3_of("", 0) == UINT64_C(0x2d06800538d394c2));
	for (size_t step = 1; step < sizeof(data); step = step * 3 + 1) {
		xxh3_init(&x);
		for (size_t i = 0; i < sizeof(data); i += step)
			xxh3_update(&x, data + i,
				    sizeof(data) - i < step ? sizeof(data) - i : step);
		assert_true(xxh3_final(&x) == xxh3_of(data, sizeof(data)));
	}
}

static void names_of_digests_are_recognised(void **state)
{
	const char *hex = NULL;

	(void)state;
	assert_true(digest_is_hex64(EMPTY));
	assert_false(digest_is_hex64(""));
	assert_false(digest_is_hex64(EMPTY "0"));
	assert_false(digest_is_hex64(
		"E3B0C44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
	assert_true(digest_is_sha256("sha256:" ABC, &hex));
	assert_string_equal(hex, ABC);
	assert_false(digest_is_sha256("sha512:" ABC, &hex));
	assert_false(digest_is_sha256("sha256:", &hex));
	assert_false(digest_is_sha256(ABC, &hex));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha256_gives_the_published_values),
		cmocka_unit_test(a_sum_goes_on_from_where_another_stood),
		cmocka_unit_test(crc32_gives_the_published_values_in_any_parts),
		cmocka_unit_test(crc32_of_parts_is_that_of_the_whole),
		cmocka_unit_test(xxh3_gives_the_same_in_any_parts),
		cmocka_unit_test(names_of_digests_are_recognised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
