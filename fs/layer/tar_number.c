/* Numbers as tar writes them. Must not know what the fields mean. */
#include "fs/layer/tar_number.h"

static bool base256(const unsigned char *field, size_t len, int64_t *out)
{
	bool negative = field[0] & 0x40;
	uint64_t v = negative ? UINT64_MAX : 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = field[i];

		if (i == 0)
			c = negative ? c : c & 0x7f;
		/* What is shifted out, and the sign bit afterwards, must be copies of the sign. */
		if ((v >> 55) != (negative ? 0x1ff : 0))
			return false;
		v = v << 8 | c;
	}
	*out = (int64_t)v;
	return true;
}

bool tar_number_field(const unsigned char *field, size_t len, int64_t *out)
{
	uint64_t v = 0;
	size_t at = 0;

	if (field[0] & 0x80)
		return base256(field, len, out);
	while (at < len && field[at] == ' ')
		at++;
	while (at < len && field[at] >= '0' && field[at] <= '7') {
		if (v >> 60)
			return false;
		v = v << 3 | (uint64_t)(field[at++] - '0');
	}
	while (at < len && (field[at] == ' ' || field[at] == 0))
		at++;
	*out = (int64_t)v;
	/* Old programs leave whatever was there behind the first NUL. */
	return at == len || field[at - (at > 0)] == 0;
}

bool tar_number_decimal(const char *text, size_t len, uint64_t *out)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++) {
		uint64_t digit = (uint64_t)(unsigned char)text[i] - '0';

		if (digit > 9 || v > ((uint64_t)INT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	*out = v;
	return len > 0;
}

bool tar_number_time(const char *text, size_t len, int64_t *s_out, uint32_t *ns_out)
{
	bool negative = len > 0 && text[0] == '-';
	size_t at = negative, whole;
	uint64_t s = 0;
	uint32_t ns = 0;

	for (whole = at; whole < len && text[whole] != '.'; whole++)
		;
	if (whole > at && !tar_number_decimal(text + at, whole - at, &s))
		return false;
	if (whole == at && whole + 1 >= len)
		return false;
	for (uint32_t i = 0, unit = 100000000; whole + 1 + i < len; i++, unit /= 10) {
		char c = text[whole + 1 + i];

		if (c < '0' || c > '9')
			return false;
		ns += (uint32_t)(c - '0') * unit;
	}
	*s_out = negative ? -(int64_t)s : (int64_t)s;
	if (negative && ns) {
		*s_out -= 1;
		ns = 1000000000 - ns;
	}
	*ns_out = ns;
	return true;
}

bool tar_checksum_right(const unsigned char block[512])
{
	int64_t want, sum = 0, signed_sum = 0;

	for (int i = 0; i < 512; i++) {
		unsigned char c = i >= 148 && i < 156 ? ' ' : block[i];

		sum += c;
		signed_sum += (signed char)c;
	}
	return tar_number_field(block + 148, 8, &want) && (want == sum || want == signed_sum);
}
