/* The longest common subsequence of lines by the plain table; what lies between an equal beginning
 * and an equal end is small when a configuration is edited. Where it is not, it is shown whole. */
#include "contrib/dfinit/diff.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define CONTEXT	  3
#define LINES_MAX 2000 /* of the differing middle, each side */

struct lines {
	const char **at; /* count + 1: the last is the text's end */
	size_t count;
};

/* One line of the script: ' ', '-' or '+'. */
struct step {
	char sign;
	size_t before, after; /* the lines it stands at */
};

static struct lines split(const char *text)
{
	struct lines l = {0};
	size_t count = 1;

	for (const char *p = text; *p; p++)
		count += *p == '\n';
	l.at = mem_array(count + 2, sizeof(*l.at));
	while (*text) {
		l.at[l.count++] = text;
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	l.at[l.count] = text;
	return l;
}

static bool same(const struct lines *a, size_t i, const struct lines *b, size_t j)
{
	size_t len = (size_t)(a->at[i + 1] - a->at[i]);

	return len == (size_t)(b->at[j + 1] - b->at[j]) && memcmp(a->at[i], b->at[j], len) == 0;
}

/* Steps for a[from..a_to) against b[from..b_to). */
static size_t script(const struct lines *a, size_t a_to, const struct lines *b, size_t b_to,
		     size_t from, struct step *out)
{
	size_t n = a_to - from, m = b_to - from, i = 0, j = 0, count = 0;
	bool big = n > LINES_MAX || m > LINES_MAX;
	uint16_t *best cleanup(free_at) = mem_array(big ? 1 : (n + 1) * (m + 1), sizeof(uint16_t));

	for (size_t x = n; !big && x-- > 0;)
		for (size_t y = m; y-- > 0;) {
			uint16_t down = best[(x + 1) * (m + 1) + y];
			uint16_t right = best[x * (m + 1) + y + 1];
			uint16_t both = (uint16_t)(best[(x + 1) * (m + 1) + y + 1] + 1);

			best[x * (m + 1) + y] = same(a, from + x, b, from + y) ? both
						: down > right		       ? down
									       : right;
		}
	while (i < n || j < m) {
		char sign = '+';

		if (!big && i < n && j < m && same(a, from + i, b, from + j))
			sign = ' ';
		else if (i < n && (j == m || big ||
				   best[(i + 1) * (m + 1) + j] >= best[i * (m + 1) + j + 1]))
			sign = '-';
		out[count++] = (struct step){sign, from + i, from + j};
		i += sign != '+';
		j += sign != '-';
	}
	return count;
}

static void print_line(char sign, const struct lines *l, size_t i, FILE *out)
{
	size_t len = (size_t)(l->at[i + 1] - l->at[i]);
	bool open = l->at[i][len - 1] != '\n';

	fprintf(out, "%c%.*s%s", sign, (int)len, l->at[i],
		open ? "\n\\ No newline at end of file\n" : "");
}

/* Steps from..to of the script are one hunk. */
static void print_hunk(const struct lines *a, const struct lines *b, const struct step *s,
		       size_t from, size_t to, FILE *out)
{
	size_t minus = 0, plus = 0;

	for (size_t i = from; i < to; i++) {
		minus += s[i].sign != '+';
		plus += s[i].sign != '-';
	}
	fprintf(out, "@@ -%zu,%zu +%zu,%zu @@\n", s[from].before + (minus > 0), minus,
		s[from].after + (plus > 0), plus);
	for (size_t i = from; i < to; i++)
		print_line(s[i].sign, s[i].sign == '+' ? b : a,
			   s[i].sign == '+' ? s[i].after : s[i].before, out);
}

void diff_print(const char *before, const char *after, FILE *out)
{
	struct lines a = split(before), b = split(after);
	struct step *s = mem_array(a.count + b.count + 1, sizeof(*s));
	size_t head = 0, tail = 0, count, from = 0;

	while (head < a.count && head < b.count && same(&a, head, &b, head))
		s[head] = (struct step){' ', head, head}, head++;
	while (tail < a.count - head && tail < b.count - head &&
	       same(&a, a.count - tail - 1, &b, b.count - tail - 1))
		tail++;
	count = head + script(&a, a.count - tail, &b, b.count - tail, head, s + head);
	for (size_t i = 0; i < tail; i++)
		s[count++] = (struct step){' ', a.count - tail + i, b.count - tail + i};
	while (from < count) {
		size_t first, last;

		while (from < count && s[from].sign == ' ')
			from++;
		if (from == count)
			break;
		first = from > CONTEXT ? from - CONTEXT : 0;
		/* Goes on while fewer than two contexts of equal lines part the changes. */
		for (last = from; from < count && from - last <= 2 * CONTEXT; from++)
			if (s[from].sign != ' ')
				last = from;
		from = last + 1 + CONTEXT < count ? last + 1 + CONTEXT : count;
		print_hunk(&a, &b, s, first, from, out);
	}
	free(s);
	free(a.at);
	free(b.at);
}
