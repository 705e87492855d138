/* Parses and applies containerd's filters. Must not know: where snapshots come from. */
#include "contrib/containerd/filter.h"

#include "base/buf.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <string.h>

#define TEXT_MAX      16384
#define SELECTORS_MAX 1024

enum op { OP_PRESENT, OP_EQUAL, OP_NOT_EQUAL, OP_MATCH };

struct selector {
	unsigned alternative; /* the text it came from */
	char *field, *rest;   /* "labels" and what stands behind the first dot, else NULL */
	enum op op;
	char *value;
	regex_t regex;
};

struct filter {
	struct selector *selectors;
	size_t count;
	unsigned alternatives;
};

static void selector_release(struct selector *s)
{
	if (s->op == OP_MATCH && s->value)
		regfree(&s->regex);
	free(s->field);
	free(s->rest);
	free(s->value);
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->count; i++)
		selector_release(&f->selectors[i]);
	free(f->selectors);
	free(f);
}

void filter_free_at(struct filter **f)
{
	filter_free(*f);
}

/* ---- parsing */

struct reader {
	const char *text, *at;
};

static int bad(const struct reader *r, struct err *e, const char *what)
{
	return err_set(e, EINVAL, "filter: %s at byte %zu", what, (size_t)(r->at - r->text));
}

static int hex_digits(struct reader *r, unsigned count, unsigned *out, struct err *e)
{
	*out = 0;
	while (count--) {
		if (!isxdigit((unsigned char)*r->at))
			return bad(r, e, "bad escape");
		*out = *out * 16 + (unsigned)(isdigit((unsigned char)*r->at)
						      ? *r->at - '0'
						      : tolower((unsigned char)*r->at) - 'a' + 10);
		r->at++;
	}
	return 0;
}

static void append_utf8(struct buf *b, unsigned c)
{
	char out[4];
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	if (len == 1) {
		out[0] = (char)c;
	} else {
		for (size_t i = len; --i > 0; c >>= 6)
			out[i] = (char)(0x80 | (c & 0x3f));
		out[0] = (char)((0xf00 >> len) | c);
	}
	buf_append(b, out, len);
}

/* Behind the backslash. */
static int read_escape(struct reader *r, struct buf *b, struct err *e)
{
	static const char letters[] = "abfnrtv\\\"'/|", bytes[] = "\a\b\f\n\r\t\v\\\"'/|";
	const char *letter = *r->at ? strchr(letters, *r->at) : NULL;
	unsigned c;

	if (letter) {
		r->at++;
		buf_append(b, &bytes[letter - letters], 1);
		return 0;
	}
	switch (*r->at++) {
	case 'x':
		if (hex_digits(r, 2, &c, e) < 0)
			return -EINVAL;
		buf_append(b, &(char){(char)c}, 1);
		return 0;
	case 'u':
	case 'U':
		if (hex_digits(r, r->at[-1] == 'u' ? 4 : 8, &c, e) < 0)
			return -EINVAL;
		if (c > 0x10ffff)
			return bad(r, e, "bad escape");
		append_utf8(b, c);
		return 0;
	default:
		r->at--;
		return bad(r, e, "bad escape");
	}
}

/* A regex between | or / keeps its backslashes, but for those before the quote itself. */
static int read_quoted(struct reader *r, struct buf *b, struct err *e)
{
	char quote = *r->at++;

	while (*r->at && *r->at != quote) {
		if (*r->at != '\\') {
			buf_append(b, r->at++, 1);
		} else if (quote == '"') {
			r->at++;
			if (read_escape(r, b, e) < 0)
				return -EINVAL;
		} else {
			if (r->at[1] != quote)
				buf_append(b, r->at, 1);
			r->at++;
			if (*r->at)
				buf_append(b, r->at++, 1);
		}
	}
	if (*r->at++ != quote) {
		r->at--;
		return bad(r, e, "quote without its end");
	}
	return 0;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (c & 0x80);
}

/* "labels", or "a.b" of a label's name, quoted or not. */
static int read_name(struct reader *r, struct buf *b, struct err *e)
{
	size_t before = b->len;

	if (*r->at == '"')
		return read_quoted(r, b, e);
	while (is_word(*r->at))
		buf_append(b, r->at++, 1);
	return b->len == before ? bad(r, e, "a field is missing") : 0;
}

static int read_field(struct reader *r, struct selector *s, struct err *e)
{
	struct buf name cleanup(buf_release) = BUF_INIT(TEXT_MAX);
	struct buf rest cleanup(buf_release) = BUF_INIT(TEXT_MAX);
	bool dotted = false;

	if (read_name(r, &name, e) < 0)
		return -EINVAL;
	while (*r->at == '.') {
		r->at++;
		if (dotted)
			buf_puts(&rest, ".");
		dotted = true;
		if (read_name(r, &rest, e) < 0)
			return -EINVAL;
	}
	s->field = buf_take(&name);
	s->rest = dotted ? buf_take(&rest) : NULL;
	return 0;
}

static int read_value(struct reader *r, struct selector *s, struct err *e)
{
	struct buf b cleanup(buf_release) = BUF_INIT(TEXT_MAX);

	if (*r->at == '"' || (s->op == OP_MATCH && (*r->at == '|' || *r->at == '/'))) {
		if (read_quoted(r, &b, e) < 0)
			return -EINVAL;
	} else {
		while (*r->at && *r->at != ',' && !isspace((unsigned char)*r->at))
			buf_append(&b, r->at++, 1);
	}
	if (s->op == OP_MATCH &&
	    regcomp(&s->regex, b.data ? b.data : "", REG_EXTENDED | REG_NOSUB) != 0)
		return bad(r, e, "bad regular expression");
	s->value = buf_take(&b);
	return 0;
}

static int read_selector(struct reader *r, struct selector *s, struct err *e)
{
	static const char *const ops[] = {
		[OP_EQUAL] = "==", [OP_NOT_EQUAL] = "!=", [OP_MATCH] = "~="};

	if (read_field(r, s, e) < 0)
		return -EINVAL;
	if (*r->at == '\0' || *r->at == ',')
		return 0;
	for (enum op op = OP_EQUAL; op <= OP_MATCH; op++) {
		if (strncmp(r->at, ops[op], 2) == 0) {
			r->at += 2;
			s->op = op;
			return read_value(r, s, e);
		}
	}
	return bad(r, e, "an operator is missing");
}

static int parse_one(struct filter *f, const char *text, struct err *e)
{
	struct reader r = {.text = text, .at = text};

	if (strlen(text) >= TEXT_MAX)
		return err_set(e, EINVAL, "filter: longer than %d bytes", TEXT_MAX);
	/* An empty one fits everything: an alternative without selectors. */
	while (*r.at) {
		struct selector *s;

		if (f->count == SELECTORS_MAX)
			return bad(&r, e, "too many selectors");
		f->selectors = mem_realloc(f->selectors, (f->count + 1) * sizeof(*s));
		s = &f->selectors[f->count++];
		*s = (struct selector){.alternative = f->alternatives};
		if (read_selector(&r, s, e) < 0)
			return -EINVAL;
		if (*r.at == ',' && r.at[1])
			r.at++;
		else if (*r.at)
			return bad(&r, e, "a comma is expected");
	}
	f->alternatives++;
	return 0;
}

int filter_parse(const char *const *texts, size_t count, struct filter **out, struct err *e)
{
	struct filter *f cleanup(filter_free_at) = mem_new(struct filter);

	if (count > SELECTORS_MAX)
		return err_set(e, EINVAL, "filter: more than %d", SELECTORS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (parse_one(f, texts[i], e) < 0)
			return -EINVAL;
	}
	*out = take_ptr(&f);
	return 0;
}

/* ---- applying */

const char *filter_parent(const struct filter *f)
{
	for (size_t i = 0; f->alternatives == 1 && i < f->count; i++) {
		const struct selector *s = &f->selectors[i];

		if (s->op == OP_EQUAL && !s->rest && strcmp(s->field, "parent") == 0)
			return s->value;
	}
	return NULL;
}

static const char *field_of(const struct selector *s, const struct snapshot *snap)
{
	static const char *const kinds[] = {[SNAPSHOT_VIEW] = "view",
					    [SNAPSHOT_ACTIVE] = "active",
					    [SNAPSHOT_COMMITTED] = "committed"};

	if (strcmp(s->field, "labels") == 0)
		return s->rest ? labels_get(&snap->labels, s->rest) : NULL;
	if (s->rest)
		return NULL;
	if (strcmp(s->field, "name") == 0)
		return snap->name;
	if (strcmp(s->field, "parent") == 0)
		return snap->parent;
	if (strcmp(s->field, "kind") == 0)
		return kinds[snap->kind];
	return NULL;
}

static bool selector_fits(const struct selector *s, const struct snapshot *snap)
{
	const char *value = field_of(s, snap);

	switch (s->op) {
	case OP_PRESENT:
		return value && value[0];
	case OP_EQUAL:
		return value && strcmp(value, s->value) == 0;
	case OP_NOT_EQUAL:
		return !value || strcmp(value, s->value) != 0;
	case OP_MATCH:
		return value && regexec(&s->regex, value, 0, NULL, 0) == 0;
	}
	return false;
}

bool filter_fits(const struct filter *f, const struct snapshot *s)
{
	size_t at = 0;

	for (unsigned a = 0; a < f->alternatives; a++) {
		bool fits = true;

		for (; at < f->count && f->selectors[at].alternative == a; at++)
			fits = fits && selector_fits(&f->selectors[at], s);
		if (fits)
			return true;
	}
	return f->alternatives == 0;
}
