/*
 * What glibc's regcomp() does with an expression may take memory without bound: it copies what is
 * repeated, so "a+" is two of it, "a++++" sixteen, "((a{99}){99}){99}" a million. What may match
 * nothing it links with all that stands beside it: "^(a?){,900}" takes 4 GB and two minutes. And a
 * reference to a group makes matching take time without bound. All are refused before it sees them.
 */
#include "control/manager/expression.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdbool.h>
#include <string.h>

#define LEN_MAX	  512
#define DEPTH_MAX 16
#define COST_MAX  2000 /* copies of single characters */
#define COST_NONE 50   /* of what matches no character: "^", "\\b", "()" */

/* A group that is being read: what came before the last atom, and the last atom. */
struct group {
	unsigned long sum, atom;
	bool repeated; /* the last atom has its repetition */
	bool is_group; /* the last atom is one: it may match nothing */
};

struct reader {
	const char *at;
	struct group groups[DEPTH_MAX];
	unsigned depth;
};

static void begin_atom(struct reader *r, unsigned long cost)
{
	struct group *g = &r->groups[r->depth];

	g->sum += g->atom;
	g->atom = cost;
	g->repeated = g->is_group = false;
}

/* Past a bracket expression; r->at is on its '['. */
static void skip_bracket(struct reader *r)
{
	const char *p = r->at + 1;

	p += *p == '^';
	p += *p == ']';
	while (*p && *p != ']') {
		char kind = p[1];

		if (*p == '[' && (kind == ':' || kind == '.' || kind == '=')) {
			for (p += 2; *p && !(*p == kind && p[1] == ']'); p++)
				;
			p += *p != 0;
		}
		p += *p != 0;
	}
	r->at = *p ? p : p - 1;
}

/* The factor of "{2,9}" at r->at, which ends on its last character; 0 if it is none. */
static unsigned long take_bounds(struct reader *r)
{
	unsigned long low = 0, high = 0;
	int n = 0;

	sscanf(r->at, "{%6lu}%n", &low, &n);
	if (!n)
		sscanf(r->at, "{%6lu,}%n", &low, &n);
	if (!n)
		sscanf(r->at, "{,%6lu}%n", &high, &n);
	if (!n)
		sscanf(r->at, "{%6lu,%6lu}%n", &low, &high, &n);
	if (!n)
		return 0;
	r->at += n - 1;
	return (low > high ? low : high) + 1;
}

/* The last atom is repeated; false if it was already. */
static bool repeat(struct reader *r, unsigned long factor)
{
	struct group *g = &r->groups[r->depth];
	bool again = g->repeated;

	g->repeated = true;
	g->atom *= factor;
	return !again;
}

static bool begin_group(struct reader *r)
{
	if (r->depth + 1 == DEPTH_MAX)
		return false;
	r->groups[++r->depth] = (struct group){0};
	return true;
}

static void end_group(struct reader *r)
{
	struct group inner;

	if (!r->depth)
		return;
	inner = r->groups[r->depth--];
	begin_atom(r, inner.sum + inner.atom ? inner.sum + inner.atom : COST_NONE);
	r->groups[r->depth].is_group = true;
}

/* Copies of a group count by each other. */
static unsigned long factor_of(const struct reader *r, unsigned long bounds)
{
	return r->groups[r->depth].is_group ? bounds * bounds : bounds;
}

/* Reads one thing; false if it is not taken whatever it costs. */
static bool step(struct reader *r)
{
	unsigned long factor;

	switch (*r->at) {
	case '(':
		return begin_group(r);
	case ')':
		end_group(r);
		return true;
	case '*':
	case '?':
	case '+':
		return repeat(r, 2);
	case '{':
		factor = take_bounds(r);
		if (factor)
			return repeat(r, factor_of(r, factor));
		break;
	case '^':
	case '$':
		begin_atom(r, COST_NONE);
		return true;
	case '[':
		skip_bracket(r);
		break;
	case '\\':
		r->at += r->at[1] != 0;
		if (*r->at && strchr("bB<>`'", *r->at)) {
			begin_atom(r, COST_NONE);
			return true;
		}
		break;
	}
	begin_atom(r, 1);
	return true;
}

static bool is_cheap(const char *text)
{
	struct reader r = {.at = text};

	for (; *r.at; r.at++) {
		const struct group *g;

		if (!step(&r))
			return false;
		g = &r.groups[r.depth];
		if (g->sum + g->atom > COST_MAX)
			return false;
	}
	return true;
}

static bool refers_back(const char *text)
{
	for (const char *at = strchr(text, '\\'); at && at[1]; at = strchr(at + 2, '\\'))
		if (isdigit((unsigned char)at[1]))
			return true;
	return false;
}

int expression_check(const char *text, struct err *e)
{
	char why[96];
	regex_t re;
	int r;

	if (strlen(text) > LEN_MAX)
		return err_set(e, EINVAL, "is longer than %d bytes", LEN_MAX);
	if (refers_back(text))
		return err_set(e, EINVAL, "refers back to a group, which is not taken");
	if (!is_cheap(text))
		return err_set(e, EINVAL,
			       "repeats a repetition, too much, or is nested too deeply");
	r = regcomp(&re, text, REG_EXTENDED | REG_NOSUB);
	if (r != 0) {
		regerror(r, &re, why, sizeof(why));
		return err_set(e, EINVAL, "is not a regular expression: %s", why);
	}
	regfree(&re);
	return 0;
}
