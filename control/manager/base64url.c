/* base64url: 6 bits a character, no padding, one spelling for every value. */
#include "control/manager/base64url.h"

#include "base/mem.h"

#include <string.h>

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

char *base64url_encode(const void *data, size_t len)
{
	const unsigned char *in = data;
	char *out = mem_alloc(len / 3 * 4 + 5), *at = out;
	unsigned bits = 0, held = 0;

	for (size_t i = 0; i < len; i++) {
		held = (held << 8 | in[i]) & 0xffff;
		for (bits += 8; bits >= 6; bits -= 6)
			*at++ = letters[held >> (bits - 6) & 63];
	}
	if (bits)
		*at++ = letters[held << (6 - bits) & 63];
	return out;
}

bool base64url_decode(const char *text, size_t len, struct buf *out)
{
	unsigned bits = 0, held = 0;

	if (len % 4 == 1)
		return false;
	for (size_t i = 0; i < len; i++) {
		const char *letter = text[i] ? strchr(letters, text[i]) : NULL;

		if (!letter)
			return false;
		held = (held << 6 | (unsigned)(letter - letters)) & 0xffff;
		bits += 6;
		if (bits >= 8) {
			unsigned char byte = (unsigned char)(held >> (bits - 8));

			buf_append(out, &byte, 1);
			bits -= 8;
		}
	}
	return (held & ((1u << bits) - 1)) == 0 && !out->overflow;
}
