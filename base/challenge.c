/* Challenges: `scheme [token68 / name=value *( , name=value )] *( , scheme ... )`. The comma that
 * parts two parameters also parts two challenges: a token without "=" behind it begins a new one.
 */
#include "base/challenge.h"

#include "base/buf.h"
#include "base/header_lines.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

static int malformed(struct err *e)
{
	return err_set(e, EPROTO, "malformed WWW-Authenticate");
}

void challenge_release(struct challenge *c)
{
	free(c->realm);
	free(c->service);
	free(c->scope);
	*c = (struct challenge){0};
}

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, " \t");
}

/* Length of the token at the front, 0 if there is none. */
static size_t token_len(const char *at)
{
	size_t n = 0;

	while (at[n] && header_name_is_valid(at + n, 1))
		n++;
	return n;
}

/* A token or a quoted string; moves *at behind it. The caller frees. NULL: malformed. */
static char *take_value(const char **at)
{
	struct buf text = BUF_INIT(CHALLENGE_VALUE_MAX);
	const char *p = *at;
	size_t n = token_len(p);

	if (*p != '"') {
		*at = p + n;
		return n ? mem_strndup(p, n) : NULL;
	}
	for (p++; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		buf_append(&text, p, 1);
	}
	if (*p != '"' || !header_value_is_valid(text.data ? text.data : "", text.len)) {
		buf_release(&text);
		return NULL;
	}
	*at = p + 1;
	return buf_take(&text);
}

static void keep(struct challenge *c, const char *name, size_t len, char *value)
{
	char **slot = NULL;

	if (len == 5 && strncasecmp(name, "realm", len) == 0)
		slot = &c->realm;
	else if (len == 7 && strncasecmp(name, "service", len) == 0)
		slot = &c->service;
	else if (len == 5 && strncasecmp(name, "scope", len) == 0)
		slot = &c->scope;
	if (!slot) {
		free(value);
		return;
	}
	free(*slot);
	*slot = value;
}

/* Whether a parameter stands here, not the scheme of the next challenge. */
static bool is_param(const char *at)
{
	size_t n = token_len(at);

	return n > 0 && *skip_blanks(at + n) == '=';
}

/* The parameters of one challenge; moves *at to the next challenge or the end. */
static int take_params(const char **at, struct challenge *c, struct err *e)
{
	const char *p = *at;

	for (;;) {
		const char *name;
		size_t len;
		char *value;

		p = p + strspn(p, " \t,");
		if (!*p || !is_param(p))
			break;
		name = p;
		len = token_len(p);
		p = skip_blanks(skip_blanks(p + len) + 1);
		value = take_value(&p);
		if (!value)
			return malformed(e);
		keep(c, name, len, value);
		p = skip_blanks(p);
		if (*p && *p != ',')
			return malformed(e);
	}
	*at = p;
	return 0;
}

/* A token68 (as Negotiate has) up to the comma; moves behind it. Its "=" are padding. */
static const char *skip_token68(const char *at)
{
	size_t n =
		strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/");
	const char *end = skip_blanks(at + n + strspn(at + n, "="));

	return n > 0 && (*end == ',' || !*end) ? end : at;
}

static int take_one(const char **at, struct challenge *c, struct err *e)
{
	size_t len = token_len(*at);
	const char *scheme = *at, *p = scheme + len;

	if (len == 0 || (*p && *p != ' ' && *p != '\t' && *p != ','))
		return malformed(e);
	if (len == 6 && strncasecmp(scheme, "Bearer", len) == 0)
		c->scheme = CHALLENGE_BEARER;
	else if (len == 5 && strncasecmp(scheme, "Basic", len) == 0)
		c->scheme = CHALLENGE_BASIC;
	*at = skip_token68(skip_blanks(p));
	return take_params(at, c, e);
}

static void keep_better(struct challenge *best, struct challenge *c)
{
	bool usable = c->scheme == CHALLENGE_BASIC || (c->scheme == CHALLENGE_BEARER && c->realm);

	if (usable && c->scheme > best->scheme) {
		challenge_release(best);
		*best = *c;
		*c = (struct challenge){0};
	}
}

int challenge_parse(const char *value, struct challenge *best, struct err *e)
{
	cleanup(challenge_release) struct challenge found = {0};
	const char *at = value;
	int r = strlen(value) > CHALLENGE_VALUE_MAX ? malformed(e) : 0;

	while (r == 0) {
		cleanup(challenge_release) struct challenge c = {0};

		at += strspn(at, " \t,");
		if (!*at)
			break;
		r = take_one(&at, &c, e);
		if (r == 0)
			keep_better(&found, &c);
	}
	if (r == 0)
		keep_better(best, &found);
	return r;
}
