/* Looking things up in a TOML file that was read, and its edits. Each edit makes the new text and
 * reads it again: what comes out is always TOML. */
#include "contrib/dfinit/toml.h"

#include "base/buf.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

bool toml_is_below(const char *path, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(path, prefix, len) == 0 && (!path[len] || path[len] == '.' || !len);
}

const struct toml_entry *toml_key(const struct toml *t, const char *path)
{
	for (size_t i = 0; i < t->count; i++)
		if (t->entries[i].kind == TOML_KEY && strcmp(t->entries[i].path, path) == 0)
			return &t->entries[i];
	return NULL;
}

bool toml_has(const struct toml *t, const char *path)
{
	for (size_t i = 0; i < t->count; i++)
		if (toml_is_below(t->entries[i].path, path))
			return true;
	return false;
}

char *toml_text_of(const struct toml *t, const char *path)
{
	const struct toml_entry *key = toml_key(t, path);
	char *text = NULL;

	if (!key || !strchr("\"'", t->text[key->value]))
		return NULL;
	toml_texts(t, key, &text, 1);
	return text;
}

char *toml_quote(const char *text)
{
	struct buf b = {0};

	buf_puts(&b, "\"");
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			buf_printf(&b, "\\u%04x", *text);
		else if (*text == '"' || *text == '\\')
			buf_printf(&b, "\\%c", *text);
		else
			buf_append(&b, text, 1);
	buf_puts(&b, "\"");
	return buf_take(&b);
}

/* Puts text in the place of from..to. */
static int replace(struct toml *t, size_t from, size_t to, const char *text, struct err *e)
{
	struct buf b cleanup(buf_release) = BUF_INIT(2 * TOML_LEN_MAX);
	struct toml again;
	int r;

	buf_append(&b, t->text, from);
	buf_puts(&b, text);
	buf_append(&b, t->text + to, t->len - to);
	r = toml_parse("after the edit", b.data, b.len, &again, e);
	if (r < 0) {
		toml_release(&again);
		return r;
	}
	toml_release(t);
	*t = again;
	return 0;
}

int toml_insert(struct toml *t, size_t at, const char *text, struct err *e)
{
	bool open = at > 0 && t->text[at - 1] != '\n';
	char *whole cleanup(free_at) = mem_printf("%s%s", open ? "\n" : "", text);

	return replace(t, at, at, whole, e);
}

/* The blanks that a line begins with. */
static char *indent_of(const struct toml *t, size_t start)
{
	return mem_strndup(t->text + start, strspn(t->text + start, " \t"));
}

/* Into the table that has a header: behind its last key, indented as its first. */
static int set_in_table(struct toml *t, size_t header, const char *key, const char *value,
			struct err *e)
{
	const struct toml_entry *first = NULL, *last = &t->entries[header];
	char *indent cleanup(free_at) = NULL, *line cleanup(free_at) = NULL;

	for (size_t i = 0; i < t->count; i++) {
		const struct toml_entry *k = &t->entries[i];

		if (k->kind != TOML_KEY || k->header != header || k->is_inline)
			continue;
		first = first ? first : k;
		last = k;
	}
	indent = indent_of(t, first ? first->start : last->start);
	line = mem_printf("%s%s%s = %s\n", indent, first ? "" : "  ", key, value);
	return toml_insert(t, last->end, line, e);
}

/* The table exists by dotted keys only: one more beside them. */
static int set_beside(struct toml *t, const struct toml_entry *sibling, const char *table,
		      const char *key, const char *value, struct err *e)
{
	const char *header = sibling->header == TOML_NONE ? "" : t->entries[sibling->header].path;
	char *indent cleanup(free_at) = indent_of(t, sibling->start);
	const char *rest = table + strlen(header) + (*header != 0);
	char *line cleanup(free_at) = mem_printf("%s%s.%s = %s\n", indent, rest, key, value);

	return toml_insert(t, sibling->end, line, e);
}

int toml_set(struct toml *t, const char *table, const char *key, const char *value, struct err *e)
{
	char *path cleanup(free_at) = mem_printf("%s%s%s", table, *table ? "." : "", key);
	const struct toml_entry *old = toml_key(t, path), *beside = NULL;
	char *text cleanup(free_at) = NULL;

	if (old)
		return replace(t, old->value, old->value_end, value, e);
	for (size_t i = 0; *table && i < t->count; i++)
		if (t->entries[i].kind == TOML_TABLE && strcmp(t->entries[i].path, table) == 0)
			return set_in_table(t, i, key, value, e);
	for (size_t i = 0; *table && i < t->count; i++) {
		const struct toml_entry *k = &t->entries[i];
		const char *header = k->header == TOML_NONE ? "" : t->entries[k->header].path;

		if (k->kind != TOML_KEY || !toml_is_below(k->path, table) ||
		    strlen(header) >= strlen(table))
			continue;
		if (k->is_inline || strcmp(k->path, table) == 0)
			return err_set(e, EOPNOTSUPP,
				       "%s is written as an inline table: write it as [%s] first",
				       table, table);
		beside = k;
	}
	if (beside)
		return set_beside(t, beside, table, key, value, e);
	if (!*table) {
		text = mem_printf("%s = %s\n", key, value);
		return toml_insert(t, 0, text, e);
	}
	text = mem_printf("%s[%s]\n  %s = %s\n", t->len ? "\n" : "", table, key, value);
	return toml_insert(t, t->len, text, e);
}

/* The lines from..to, each behind a mark. */
static char *commented(const char *text, size_t from, size_t to)
{
	struct buf b = BUF_INIT(2 * TOML_LEN_MAX);

	while (from < to) {
		const char *end = memchr(text + from, '\n', to - from);
		size_t len = end ? (size_t)(end - text) + 1 - from : to - from;

		buf_puts(&b, "# ");
		buf_append(&b, text + from, len);
		from += len;
	}
	return buf_take(&b);
}

int toml_comment_out(struct toml *t, const char *path, struct err *e)
{
	/* From the end, so that what is left to do keeps its place. */
	for (size_t i = t->count; i-- > 0;) {
		const struct toml_entry *k = &t->entries[i];
		char *text cleanup(free_at) = NULL;
		int r;

		if (!toml_is_below(k->path, path))
			continue;
		if (k->is_inline) {
			/* Goes with the key whose value it stands in, if that goes. */
			size_t owner = i;

			while (owner > 0 && t->entries[owner].is_inline)
				owner--;
			if (!toml_is_below(t->entries[owner].path, path))
				return err_set(e, EOPNOTSUPP,
					       "%s is written as an inline table: write it as [%s] "
					       "first",
					       path, path);
			continue;
		}
		text = commented(t->text, k->start, k->end);
		r = replace(t, k->start, k->end, text, e);
		if (r < 0)
			return r;
		/* Read again: what stood before is where it was. */
		i = i < t->count ? i : t->count;
	}
	return 0;
}
