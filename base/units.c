/* Numbers with units. Exact integer arithmetic: no locale, no infinities, no rounding surprises. */
#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FRACTION_DIGITS_MAX 9

/* "12" or "12.5": whole + fraction / scale. False without a digit or with too many. */
struct number {
	uint64_t whole, fraction, scale;
};

static bool parse_number(const char **text, struct number *n)
{
	const char *p = *text;
	size_t digits = strspn(p, "0123456789");

	*n = (struct number){.scale = 1};
	if (digits == 0)
		return false;
	for (; digits > 0; digits--, p++) {
		if (__builtin_mul_overflow(n->whole, 10, &n->whole) ||
		    __builtin_add_overflow(n->whole, (uint64_t)(*p - '0'), &n->whole))
			return false;
	}
	if (*p == '.') {
		digits = strspn(++p, "0123456789");
		if (digits == 0 || digits > FRACTION_DIGITS_MAX)
			return false;
		for (; digits > 0; digits--, p++) {
			n->fraction = n->fraction * 10 + (uint64_t)(*p - '0');
			n->scale *= 10;
		}
	}
	*text = p;
	return true;
}

/* number * times / per, rounded down. */
static bool multiply(const struct number *n, uint64_t times, uint64_t per, uint64_t *out)
{
	unsigned __int128 v = (unsigned __int128)n->whole * times;

	v += (unsigned __int128)n->fraction * times / n->scale;
	v /= per;
	if (v > UINT64_MAX)
		return false;
	*out = (uint64_t)v;
	return true;
}

static const char *skip_blanks(const char *p)
{
	return p + strspn(p, " ");
}

bool units_parse_bytes(const char *text, uint64_t *out)
{
	static const struct {
		const char *name;
		uint64_t times;
	} units[] = {
		{"", 1},
		{"b", 1},
		{"k", 1000},
		{"kb", 1000},
		{"ki", 1u << 10},
		{"kib", 1u << 10},
		{"m", 1000000},
		{"mb", 1000000},
		{"mi", 1u << 20},
		{"mib", 1u << 20},
		{"g", 1000000000},
		{"gb", 1000000000},
		{"gi", 1u << 30},
		{"gib", 1u << 30},
		{"t", UINT64_C(1000000000000)},
		{"tb", UINT64_C(1000000000000)},
		{"ti", UINT64_C(1) << 40},
		{"tib", UINT64_C(1) << 40},
		{"p", UINT64_C(1000000000000000)},
		{"pb", UINT64_C(1000000000000000)},
		{"pi", UINT64_C(1) << 50},
		{"pib", UINT64_C(1) << 50},
	};
	struct number n;

	text = skip_blanks(text);
	if (!parse_number(&text, &n))
		return false;
	text = skip_blanks(text);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t len = strlen(units[i].name);

		if (strncasecmp(text, units[i].name, len) == 0 && *skip_blanks(text + len) == 0)
			return multiply(&n, units[i].times, 1, out);
	}
	return false;
}

/* How many units make one (times) or how many units one makes (per), in ms; "" is none. */
static bool duration_unit(const char *name, size_t len, uint64_t *times, uint64_t *per)
{
	static const struct {
		const char *name;
		uint64_t times, per;
	} units[] = {
		{"ns", 1, 1000000},  {"us", 1, 1000},	   {"ms", 1, 1},
		{"s", 1000, 1},	     {"sec", 1000, 1},	   {"m", 60000, 1},
		{"min", 60000, 1},   {"h", 3600000, 1},	   {"hr", 3600000, 1},
		{"d", 86400000, 1},  {"day", 86400000, 1}, {"days", 86400000, 1},
		{"w", 604800000, 1},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strlen(units[i].name) != len || strncmp(units[i].name, name, len) != 0)
			continue;
		*times = units[i].times;
		*per = units[i].per;
		return true;
	}
	return false;
}

bool units_parse_duration_ms(const char *text, int64_t *out)
{
	uint64_t sum = 0;

	text = skip_blanks(text);
	do {
		uint64_t times, per, part;
		struct number n;
		size_t len;

		if (!parse_number(&text, &n))
			return false;
		text = skip_blanks(text);
		len = strspn(text, "abcdefghijklmnopqrstuvwxyz");
		if (!duration_unit(text, len, &times, &per) || !multiply(&n, times, per, &part) ||
		    __builtin_add_overflow(sum, part, &sum))
			return false;
		text = skip_blanks(text + len);
	} while (*text);
	if (sum > INT64_MAX)
		return false;
	*out = (int64_t)sum;
	return true;
}

void units_print_bytes(uint64_t n, char *text, size_t size)
{
	static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)n / 1024;
	size_t i = 0;

	if (n < 1024) {
		snprintf(text, size, "%" PRIu64 " B", n);
		return;
	}
	/* 1023.95 would be printed as 1024.0 */
	for (; v >= 1023.95 && i + 1 < sizeof(names) / sizeof(names[0]); i++)
		v /= 1024;
	snprintf(text, size, "%.1f %s", v, names[i]);
}

void units_print_ms(int64_t ms, char *text, size_t size)
{
	int64_t s = (ms + 500) / 1000;

	if (ms < 1000)
		snprintf(text, size, "%" PRId64 " ms", ms);
	else if (ms < 59995)
		snprintf(text, size, "%.2f s", (double)ms / 1000);
	else if (s < 3600)
		snprintf(text, size, "%" PRId64 " m %02" PRId64 " s", s / 60, s % 60);
	else
		snprintf(text, size, "%" PRId64 " h %02" PRId64 " m", s / 3600, s / 60 % 60);
}
