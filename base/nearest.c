/* Edit distance with swapped neighbours, letters regardless of case. */
#include "base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define WORD_MAX 96 /* longer ones are nobody's slip of the finger */

void nearest_init(struct nearest *n, const char *wanted)
{
	size_t len = strlen(wanted);

	/* At most a third of the letters wrong, so that short words do not match anything. */
	*n = (struct nearest){.wanted = wanted, .distance = (unsigned)(len < 3 ? 2 : len / 3 + 2)};
}

static unsigned min(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_len; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *spare = before;

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = min(min(last[j], row[j - 1]) + 1,
				     last[j - 1] + !same(a[i - 1], b[j - 1]));
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				row[j] = min(row[j], before[j - 2] + 1);
		}
		before = last;
		last = row;
		row = spare;
	}
	return last[b_len];
}

void nearest_offer(struct nearest *n, const char *word, size_t len)
{
	size_t wanted_len = strlen(n->wanted);
	unsigned d;

	if (len > WORD_MAX || wanted_len > WORD_MAX)
		return;
	d = distance(n->wanted, wanted_len, word, len);
	if (d >= n->distance)
		return;
	n->distance = d;
	n->word = word;
	n->len = len;
}
