/* Footers of eStargz and zstd:chunked. Must not know what the tables say. */
#include "fs/layer/toc.h"

#include "base/cleanup.h"

#include <string.h>

#define ESTARGZ_LEN 51
#define LEGACY_LEN  47
#define DIGITS	    16

static bool take_hex(const unsigned char *at, uint64_t *out)
{
	*out = 0;
	for (int i = 0; i < DIGITS; i++) {
		const char *digits = "0123456789abcdef", *digit = strchr(digits, at[i]);

		if (!at[i] || !digit)
			return false;
		*out = *out << 4 | (uint64_t)(digit - digits);
	}
	return true;
}

/* An empty gzip member whose extra field says where the table is, "%016x" and STARGZ: in a subfield
 * SG, or, as it was first, bare. */
static bool find_gzip(const unsigned char *tail, size_t len, uint64_t blob_len, bool legacy,
		      struct toc_place *out)
{
	static const unsigned char head[4] = {0x1f, 0x8b, 8, 4};
	size_t footer_len = legacy ? LEGACY_LEN : ESTARGZ_LEN;
	const unsigned char *at = len < footer_len ? tail : tail + len - footer_len;
	const unsigned char *text = at + (legacy ? 12 : 16);

	if (len < footer_len || memcmp(at, head, sizeof(head)) != 0 ||
	    at[10] != (legacy ? DIGITS + 6 : DIGITS + 10) || at[11] != 0 ||
	    (!legacy && memcmp(at + 12, "SG\x16", 4) != 0) ||
	    memcmp(text + DIGITS, "STARGZ", 6) != 0 || !take_hex(text, &out->offset) ||
	    out->offset >= blob_len - footer_len)
		return false;
	out->stored_len = blob_len - footer_len - out->offset;
	out->kind = LAYER_TOC_ESTARGZ;
	return true;
}

static uint64_t take_u64(const unsigned char *at)
{
	uint64_t v = 0;

	for (int k = 7; k >= 0; k--)
		v = v << 8 | at[k];
	return v;
}

/* A skippable frame: places of the table, then the magic, which the two writers spell apart. */
static bool find_zstd(const unsigned char *tail, size_t len, uint64_t blob_len,
		      struct toc_place *out)
{
	static const unsigned char skippable[4] = {0x50, 0x2a, 0x4d, 0x18};
	static const size_t payloads[] = {40, 64};
	const unsigned char *end = tail + len;

	if (len < 8 || (memcmp(end - 8, "GNUlInUx", 8) != 0 && memcmp(end - 8, "GnUlInUx", 8) != 0))
		return false;
	for (size_t i = 0; i < array_len(payloads); i++) {
		size_t n = payloads[i];
		const unsigned char *at = end - n - 8;

		if (len < n + 8 || memcmp(at, skippable, 4) != 0 || at[4] != n || at[5])
			continue;
		out->offset = take_u64(at + 8);
		out->stored_len = take_u64(at + 16);
		if (out->offset >= blob_len || out->stored_len > blob_len - out->offset)
			return false;
		out->kind = LAYER_TOC_ZSTD_CHUNKED;
		return true;
	}
	return false;
}

bool toc_find(const unsigned char *tail, size_t tail_len, uint64_t blob_len, struct toc_place *out)
{
	if (find_gzip(tail, tail_len, blob_len, false, out) ||
	    find_gzip(tail, tail_len, blob_len, true, out) ||
	    find_zstd(tail, tail_len, blob_len, out))
		return true;
	*out = (struct toc_place){.kind = LAYER_TOC_NONE};
	return false;
}

enum layer_toc toc_kind(const unsigned char *tail, size_t tail_len, uint64_t blob_len)
{
	struct toc_place place;

	toc_find(tail, tail_len, blob_len, &place);
	return place.kind;
}
