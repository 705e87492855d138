/* Patterns: a small translation, then regcomp(). */
#include "daemon/pattern.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <regex.h>
#include <string.h>

#define TEXT_LEN_MAX 4096

struct pattern {
	regex_t regex;
};

/* What stands behind a backslash. Moves *at to its last character. */
static int translate_escape(const char **at, struct buf *out, struct err *e)
{
	char c = *++*at;

	switch (c) {
	case 'd':
		buf_puts(out, "[0-9]");
		return 0;
	case 'D':
		buf_puts(out, "[^0-9]");
		return 0;
	case 'w':
	case 'W':
	case 's':
	case 'S':
	case 'b':
	case 'B': /* regcomp() of glibc knows these */
		break;
	case 0:
		return err_set(e, EINVAL, "a backslash at the end");
	default:
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
			return err_set(e, EINVAL, "\\%c is not understood", c);
	}
	buf_printf(out, "\\%c", c);
	return 0;
}

/* Copies "[...]" as it is. */
static int copy_set(const char **at, struct buf *out, struct err *e)
{
	const char *p = *at + 1;

	p += *p == '^';
	p += *p == ']';
	for (; *p && *p != ']'; p++)
		if (*p == '\\')
			return err_set(e, EINVAL, "a backslash inside of [] is not understood");
	if (!*p)
		return err_set(e, EINVAL, "[ without ]");
	buf_append(out, *at, (size_t)(p - *at) + 1);
	*at = p;
	return 0;
}

static int translate(const char *text, struct buf *out, struct err *e)
{
	char last = 0;

	for (const char *p = text; *p; p++) {
		char now = *p;

		if (now == '\\') {
			if (translate_escape(&p, out, e) < 0)
				return -e->code;
		} else if (now == '[') {
			if (copy_set(&p, out, e) < 0)
				return -e->code;
		} else if (now == '(' && p[1] == '?') {
			if (p[2] != ':')
				return err_set(e, EINVAL, "(?%c is not understood", p[2]);
			buf_puts(out, "(");
			p += 2;
		} else if (now == '?' && last && strchr("*+?}", last)) {
			now = 0; /* lazy: whether it matches is the same */
		} else {
			buf_append(out, p, 1);
		}
		last = now;
	}
	return 0;
}

int pattern_new(const char *text, struct pattern **out, struct err *e)
{
	cleanup(buf_release) struct buf posix = {0};
	int flags = REG_EXTENDED | REG_NOSUB, r;
	struct pattern *p;
	char why[128];

	if (strlen(text) > TEXT_LEN_MAX)
		return err_set(e, EINVAL, "the pattern is longer than %d", TEXT_LEN_MAX);
	if (strncmp(text, "(?i)", 4) == 0) {
		flags |= REG_ICASE;
		text += 4;
	}
	if (translate(text, &posix, e) < 0)
		return -e->code;
	p = mem_new(struct pattern);
	r = regcomp(&p->regex, posix.data ? posix.data : "", flags);
	if (r) {
		regerror(r, &p->regex, why, sizeof(why));
		free(p);
		return err_set(e, EINVAL, "the pattern \"%s\": %s", text, why);
	}
	*out = p;
	return 0;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	regfree(&p->regex);
	free(p);
}

bool pattern_matches(const struct pattern *p, const char *text)
{
	return regexec(&p->regex, text, 0, NULL, 0) == 0;
}
