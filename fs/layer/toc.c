/* Footers of eStargz and zstd:chunked. Must not know what the tables say. */
#include "fs/layer/toc.h"

#include <string.h>

#define ESTARGZ_LEN 51

/* An empty gzip member whose extra field says where the table is: "%016x" and STARGZ. */
static bool is_estargz(const unsigned char *tail, size_t len, uint64_t blob_len)
{
	static const unsigned char head[4] = {0x1f, 0x8b, 8, 4};
	const unsigned char *at = len < ESTARGZ_LEN ? tail : tail + len - ESTARGZ_LEN;
	uint64_t offset = 0;

	if (len < ESTARGZ_LEN || memcmp(at, head, sizeof(head)) != 0 || at[12] != 'S' ||
	    at[13] != 'G' || memcmp(at + 32, "STARGZ", 6) != 0)
		return false;
	for (int i = 16; i < 32; i++) {
		const char *digits = "0123456789abcdef", *digit = strchr(digits, at[i]);

		if (!at[i] || !digit)
			return false;
		offset = offset << 4 | (uint64_t)(digit - digits);
	}
	return offset < blob_len;
}

/* A skippable frame: places of the table, then the magic, which the two writers spell apart. */
static bool is_zstd_chunked(const unsigned char *tail, size_t len, uint64_t blob_len)
{
	static const unsigned char skippable[4] = {0x50, 0x2a, 0x4d, 0x18};
	static const size_t payloads[] = {40, 64};
	const unsigned char *end = tail + len;

	if (len < 8 || (memcmp(end - 8, "GNUlInUx", 8) != 0 && memcmp(end - 8, "GnUlInUx", 8) != 0))
		return false;
	for (size_t i = 0; i < array_len(payloads); i++) {
		size_t n = payloads[i];
		const unsigned char *at = end - n - 8;
		uint64_t offset = 0;

		if (len < n + 8 || memcmp(at, skippable, 4) != 0 || at[4] != n || at[5])
			continue;
		for (int k = 7; k >= 0; k--)
			offset = offset << 8 | at[8 + k];
		return offset < blob_len;
	}
	return false;
}

enum layer_toc toc_kind(const unsigned char *tail, size_t tail_len, uint64_t blob_len)
{
	if (is_estargz(tail, tail_len, blob_len))
		return LAYER_TOC_ESTARGZ;
	if (is_zstd_chunked(tail, tail_len, blob_len))
		return LAYER_TOC_ZSTD_CHUNKED;
	return LAYER_TOC_NONE;
}
