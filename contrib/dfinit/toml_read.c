/* Reading TOML: where things stand, not what they mean. Values are checked for their form only as
 * far as their end must be found. */
#include "contrib/dfinit/toml.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define DEPTH_MAX 32

struct reader {
	const char *name;
	struct toml *t;
	size_t at;
	size_t header, element; /* those that keys now belong to */
	struct err *e;
};

static int fault(const struct reader *r, const char *what)
{
	size_t line = 1;

	for (size_t i = 0; i < r->at && i < r->t->len; i++)
		line += r->t->text[i] == '\n';
	return err_set(r->e, EINVAL, "%s:%zu: %s", r->name, line, what);
}

static char peek(const struct reader *r)
{
	return r->at < r->t->len ? r->t->text[r->at] : 0;
}

static bool starts(const struct reader *r, const char *text)
{
	size_t len = strlen(text);

	return r->t->len - r->at >= len && memcmp(r->t->text + r->at, text, len) == 0;
}

static void skip_blanks(struct reader *r)
{
	while (peek(r) == ' ' || peek(r) == '\t')
		r->at++;
}

static void skip_comment(struct reader *r)
{
	if (peek(r) == '#')
		while (r->at < r->t->len && r->t->text[r->at] != '\n')
			r->at++;
}

/* Blanks, newlines and comments. */
static void skip_space(struct reader *r)
{
	for (;;) {
		skip_blanks(r);
		skip_comment(r);
		if (peek(r) != '\n' && peek(r) != '\r')
			return;
		r->at++;
	}
}

/* The rest of a line that may only be a comment. */
static int end_line(struct reader *r)
{
	skip_blanks(r);
	skip_comment(r);
	if (peek(r) == '\r')
		r->at++;
	if (r->at == r->t->len)
		return 0;
	if (peek(r) != '\n')
		return fault(r, "expected the end of the line");
	r->at++;
	return 0;
}

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

/* ---- strings */

static int hex_digits(const char *text, size_t count, uint32_t *out)
{
	*out = 0;
	for (size_t i = 0; i < count; i++) {
		const char *digits = "0123456789abcdef", *at;
		char c = (char)(text[i] >= 'A' && text[i] <= 'F' ? text[i] + 32 : text[i]);

		at = c ? strchr(digits, c) : NULL;
		if (!at)
			return -1;
		*out = *out << 4 | (uint32_t)(at - digits);
	}
	return 0;
}

static void put_utf8(struct buf *b, uint32_t c)
{
	char out[4];

	if (c < 0x80) {
		buf_append(b, (char[]){(char)c}, 1);
		return;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		buf_append(b, out, 2);
		return;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		buf_append(b, out, 3);
		return;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	buf_append(b, out, 4);
}

/* At a backslash. many: of a string of many lines, where the end of a line may be escaped. */
static int read_escape(struct reader *r, bool many, struct buf *out)
{
	static const char from[] = "btnfr\"\\e", to[] = "\b\t\n\f\r\"\\\033";
	char c = ++r->at < r->t->len ? r->t->text[r->at] : 0;
	const char *known = c ? strchr(from, c) : NULL;
	size_t digits = c == 'u' ? 4 : c == 'U' ? 8 : 0;
	uint32_t code;

	if (known) {
		r->at++;
		buf_append(out, &to[known - from], 1);
		return 0;
	}
	if (digits && r->t->len - r->at > digits &&
	    hex_digits(r->t->text + r->at + 1, digits, &code) == 0 && code && code < 0x110000 &&
	    (code < 0xd800 || code > 0xdfff)) {
		r->at += 1 + digits;
		put_utf8(out, code);
		return 0;
	}
	if (many && (c == '\n' || c == '\r' || c == ' ' || c == '\t')) {
		while (r->at < r->t->len && strchr(" \t\r\n", r->t->text[r->at]))
			r->at++;
		return 0;
	}
	return fault(r, "unknown escape");
}

static int read_string(struct reader *r, struct buf *out)
{
	char quote = peek(r);
	char triple[4] = {quote, quote, quote, 0}, mark[4] = {quote};
	bool many = starts(r, triple);

	if (many)
		memcpy(mark, triple, sizeof(mark));
	r->at += strlen(mark);
	if (many && starts(r, "\r\n"))
		r->at += 2;
	else if (many && peek(r) == '\n')
		r->at++;
	while (!starts(r, mark)) {
		char c = peek(r);

		if (r->at >= r->t->len || (!many && (c == '\n' || c == '\r')))
			return fault(r, "a string without its end");
		if ((unsigned char)c < ' ' && c != '\t' && c != '\n' && c != '\r')
			return fault(r, "a control character in a string");
		if (c == '\\' && quote == '"') {
			if (read_escape(r, many, out) < 0)
				return -EINVAL;
			continue;
		}
		buf_append(out, &c, 1);
		r->at++;
	}
	r->at += strlen(mark);
	/* Up to two quotes may stand before the closing three. */
	for (int i = 0; many && i < 2 && peek(r) == quote; i++, r->at++)
		buf_append(out, &quote, 1);
	return 0;
}

/* ---- keys */

static void put_part(struct buf *path, const char *part, size_t len)
{
	bool bare = len > 0;

	if (path->len)
		buf_puts(path, ".");
	for (size_t i = 0; i < len; i++)
		bare = bare && is_bare(part[i]);
	if (bare) {
		buf_append(path, part, len);
		return;
	}
	buf_puts(path, "\"");
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)part[i] < ' ')
			buf_printf(path, "\\u%04x", part[i]);
		else if (part[i] == '"' || part[i] == '\\')
			buf_printf(path, "\\%c", part[i]);
		else
			buf_append(path, &part[i], 1);
	buf_puts(path, "\"");
}

/* a.b."c" as a path, behind what path has already. */
static int read_key(struct reader *r, struct buf *path)
{
	for (;;) {
		struct buf part cleanup(buf_release) = {0};

		skip_blanks(r);
		if (peek(r) == '"' || peek(r) == '\'') {
			if (starts(r, "\"\"\"") || starts(r, "'''"))
				return fault(r, "a key of many lines");
			if (read_string(r, &part) < 0)
				return -EINVAL;
		} else {
			while (is_bare(peek(r)))
				buf_append(&part, &r->t->text[r->at++], 1);
			if (!part.len)
				return fault(r, "expected a key");
		}
		put_part(path, part.len ? part.data : "", part.len);
		skip_blanks(r);
		if (peek(r) != '.')
			return 0;
		r->at++;
	}
}

/* ---- entries */

static int add(struct reader *r, const struct toml_entry *entry)
{
	struct toml *t = r->t;

	if (t->count == TOML_ENTRIES_MAX)
		return err_set(r->e, EMSGSIZE, "%s: more than %d keys", r->name, TOML_ENTRIES_MAX);
	for (size_t i = 0; entry->kind != TOML_ELEMENT && i < t->count; i++)
		if (t->entries[i].kind != TOML_ELEMENT && t->entries[i].element == entry->element &&
		    strcmp(t->entries[i].path, entry->path) == 0)
			return fault(r, "stands twice");
	if (t->count % 64 == 0)
		t->entries = mem_realloc(t->entries, (t->count + 64) * sizeof(*t->entries));
	t->entries[t->count] = *entry;
	t->entries[t->count++].path = mem_strdup(entry->path);
	return 0;
}

static int read_value(struct reader *r, const char *path, int depth);

static int read_array(struct reader *r, int depth)
{
	r->at++;
	for (;;) {
		skip_space(r);
		if (peek(r) == ']') {
			r->at++;
			return 0;
		}
		if (read_value(r, NULL, depth + 1) < 0)
			return -EINVAL;
		skip_space(r);
		if (peek(r) == ',')
			r->at++;
		else if (peek(r) != ']')
			return fault(r, "expected , or ] in an array");
	}
}

/* key = value; path has what stands before. Inside arrays (path NULL) keys are not noted. */
static int read_pair(struct reader *r, const char *path, size_t start, bool is_inline, int depth)
{
	struct buf full cleanup(buf_release) = {0};
	struct toml_entry entry = {.kind = TOML_KEY,
				   .start = start,
				   .header = r->header,
				   .element = r->element,
				   .is_inline = is_inline};
	size_t index = r->t->count;

	if (path)
		buf_puts(&full, path);
	if (read_key(r, &full) < 0)
		return -EINVAL;
	if (peek(r) != '=')
		return fault(r, "expected = behind a key");
	r->at++;
	skip_blanks(r);
	entry.path = full.data;
	entry.value = r->at;
	if (path && add(r, &entry) < 0)
		return -EINVAL;
	if (read_value(r, path ? full.data : NULL, depth) < 0)
		return -EINVAL;
	if (path) {
		r->t->entries[index].value_end = r->at;
		r->t->entries[index].end = r->at;
	}
	return 0;
}

static int read_inline(struct reader *r, const char *path, int depth)
{
	r->at++;
	skip_blanks(r);
	if (peek(r) == '}') {
		r->at++;
		return 0;
	}
	for (;;) {
		if (read_pair(r, path, r->at, true, depth + 1) < 0)
			return -EINVAL;
		skip_blanks(r);
		if (peek(r) == '}') {
			r->at++;
			return 0;
		}
		if (peek(r) != ',')
			return fault(r, "expected , or } in an inline table");
		r->at++;
	}
}

static int read_value(struct reader *r, const char *path, int depth)
{
	struct buf text cleanup(buf_release) = {0};
	size_t start = r->at;

	if (depth > DEPTH_MAX)
		return fault(r, "nested too deep");
	if (peek(r) == '"' || peek(r) == '\'')
		return read_string(r, &text);
	if (peek(r) == '[')
		return read_array(r, depth);
	if (peek(r) == '{')
		return read_inline(r, path, depth);
	while (is_bare(peek(r)) || (peek(r) && strchr("+.:", peek(r))))
		r->at++;
	return r->at == start ? fault(r, "expected a value") : 0;
}

/* [path] or [[path]] */
static int read_header(struct reader *r, size_t start)
{
	struct buf path cleanup(buf_release) = {0};
	bool many = starts(r, "[[");
	struct toml_entry entry = {.kind = many ? TOML_ELEMENT : TOML_TABLE,
				   .start = start,
				   .header = TOML_NONE,
				   .element = TOML_NONE};
	struct toml *t = r->t;

	r->at += many ? 2 : 1;
	if (read_key(r, &path) < 0)
		return -EINVAL;
	if (!starts(r, many ? "]]" : "]"))
		return fault(r, "expected ] behind a table's name");
	r->at += many ? 2 : 1;
	for (size_t i = 0; i < t->count; i++)
		if (t->entries[i].kind == TOML_ELEMENT &&
		    toml_is_below(path.data, t->entries[i].path) &&
		    (!many || strcmp(path.data, t->entries[i].path) != 0))
			entry.element = i;
	entry.path = path.data;
	if (add(r, &entry) < 0)
		return -EINVAL;
	r->header = t->count - 1;
	r->element = many ? r->header : entry.element;
	return 0;
}

static int read_line(struct reader *r)
{
	size_t start = r->at, index = r->t->count;
	const struct toml *t = r->t;

	skip_blanks(r);
	if (r->at < t->len && !strchr("#\r\n", peek(r))) {
		const char *path = r->header == TOML_NONE ? "" : t->entries[r->header].path;

		if (peek(r) == '[' ? read_header(r, start) : read_pair(r, path, start, false, 0))
			return -EINVAL;
	}
	if (end_line(r) < 0)
		return -EINVAL;
	if (t->count > index)
		r->t->entries[index].end = r->at;
	return 0;
}

int toml_parse(const char *name, const char *text, size_t len, struct toml *out, struct err *e)
{
	struct reader r = {
		.name = name, .t = out, .header = TOML_NONE, .element = TOML_NONE, .e = e};

	*out = (struct toml){0};
	if (len > TOML_LEN_MAX)
		return err_set(e, EMSGSIZE, "%s: more than 1 MiB", name);
	if (memchr(text, 0, len))
		return err_set(e, EINVAL, "%s: holds a NUL byte", name);
	out->text = mem_strndup(text, len);
	out->len = len;
	while (r.at < len)
		if (read_line(&r) < 0)
			return -EINVAL;
	return 0;
}

void toml_release(struct toml *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->entries[i].path);
	free(t->entries);
	free(t->text);
	*t = (struct toml){0};
}

size_t toml_texts(const struct toml *t, const struct toml_entry *key, char **out, size_t max)
{
	struct reader r = {.name = "", .t = (struct toml *)t, .at = key->value};
	size_t count = 0;

	while (r.at < key->value_end && count < max) {
		struct buf text cleanup(buf_release) = {0};

		skip_comment(&r);
		if (peek(&r) != '"' && peek(&r) != '\'') {
			r.at++;
			continue;
		}
		if (read_string(&r, &text) < 0)
			break; /* cannot be: it was read before */
		out[count++] = buf_take(&text);
	}
	return count;
}

char *toml_part_behind(const char *path, const char *prefix)
{
	struct toml t = {.text = (char *)path, .len = strlen(path)};
	struct reader r = {.name = "", .t = &t, .at = strlen(prefix)};
	struct buf part cleanup(buf_release) = {0};

	if (!toml_is_below(path, prefix) || peek(&r) != '.')
		return NULL;
	r.at++;
	if (peek(&r) == '"') {
		if (read_string(&r, &part) < 0)
			return NULL;
		return buf_take(&part);
	}
	return mem_strndup(path + r.at, strcspn(path + r.at, "."));
}
