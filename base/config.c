/*
 * YAML by libyaml's events, walked against a table. The walk recurses with the file's nesting and
 * bounds it; anchors and aliases are refused, so a small file cannot stand for a large one.
 * Whatever was set before an error stays in the caller's struct until it is released.
 */
#include "base/config.h"

#include "base/buf.h"
#include "base/config_value.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/nearest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <yaml.h>

#define FILE_LEN_MAX (1u << 20)
#define DEPTH_MAX    16
#define PATH_LEN_MAX 512

struct walk {
	yaml_parser_t parser;
	yaml_event_t event; /* the current one */
	const char *name;
	int depth;
	struct err *e;
	void (*note)(const char *path, size_t line, void *arg); /* NULL = nobody asks */
	void *note_arg;
};

/* One mapping by one table: out is the program's struct, or an item of a list. */
struct scope {
	const struct config_key *keys;
	void *out;
	bool *given;	    /* per key */
	const char *prefix; /* of the paths in errors: "proxy.rules[0]." */
};

void config_defaults(const struct config_key *keys, void *out)
{
	for (const struct config_key *k = keys; k->path; k++) {
		bool ok = !k->fallback || config_value_set(k, config_field(k, out), k->fallback);

		/* The table is ours: a default that its own type refuses is our bug. */
		if (!ok)
			abort();
	}
}

void config_release(const struct config_key *keys, void *out)
{
	for (const struct config_key *k = keys; k->path; k++)
		config_value_release(k, config_field(k, out));
}

/* ---- events */

/* "name:line:column: " stands before every text. */
static int fail(struct walk *w, const char *fmt, ...) printf_like(2, 3);
static int fail(struct walk *w, const char *fmt, ...)
{
	const yaml_mark_t *at = &w->event.start_mark;
	char text[sizeof(w->e->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_blame(w->e, "SK100",
			 err_set(w->e, EINVAL, "%s:%zu:%zu: %s", w->name, at->line + 1,
				 at->column + 1, text));
}

static bool has_anchor(const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_ALIAS_EVENT:
		return true;
	case YAML_SCALAR_EVENT:
		return ev->data.scalar.anchor != NULL;
	case YAML_SEQUENCE_START_EVENT:
		return ev->data.sequence_start.anchor != NULL;
	case YAML_MAPPING_START_EVENT:
		return ev->data.mapping_start.anchor != NULL;
	default:
		return false;
	}
}

static const char *scalar(const struct walk *w)
{
	return (const char *)w->event.data.scalar.value;
}

static int check_scalar(struct walk *w)
{
	const unsigned char *p = w->event.data.scalar.value;

	for (size_t i = 0; i < w->event.data.scalar.length; i++)
		if (p[i] < ' ' || p[i] == 0x7f)
			return fail(w, "a line break or control character stands in a value");
	return 0;
}

static int next(struct walk *w)
{
	const yaml_parser_t *p = &w->parser;

	yaml_event_delete(&w->event);
	if (!yaml_parser_parse(&w->parser, &w->event)) {
		w->event = (yaml_event_t){.start_mark = p->problem_mark};
		return fail(w, "%s", p->problem ? p->problem : "this is not YAML");
	}
	if (has_anchor(&w->event))
		return fail(w, "anchors and aliases are not supported");
	if (w->event.type == YAML_SCALAR_EVENT)
		return check_scalar(w);
	return 0;
}

static bool is_type(const struct walk *w, yaml_event_type_t type)
{
	return w->event.type == type;
}

/* "key:", "key: null" and "key: ~" leave the default. */
static bool is_null(const struct walk *w)
{
	return is_type(w, YAML_SCALAR_EVENT) &&
	       w->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*scalar(w) || strcmp(scalar(w), "~") == 0 || strcmp(scalar(w), "null") == 0);
}

static const char *type_name(const struct walk *w)
{
	return is_type(w, YAML_MAPPING_START_EVENT)    ? "a mapping"
	       : is_type(w, YAML_SEQUENCE_START_EVENT) ? "a list"
						       : "a single value";
}

static int enter(struct walk *w)
{
	if (++w->depth > DEPTH_MAX)
		return fail(w, "nested deeper than %d levels", DEPTH_MAX);
	return 0;
}

/* Passes over the node that begins with the current event. */
static int skip_node(struct walk *w)
{
	int open = 0, r;

	for (;;) {
		if (is_type(w, YAML_MAPPING_START_EVENT) || is_type(w, YAML_SEQUENCE_START_EVENT))
			open++;
		if (is_type(w, YAML_MAPPING_END_EVENT) || is_type(w, YAML_SEQUENCE_END_EVENT))
			open--;
		if (open == 0)
			return 0;
		if (w->depth + open > DEPTH_MAX)
			return fail(w, "nested deeper than %d levels", DEPTH_MAX);
		r = next(w);
		if (r < 0)
			return r;
	}
}

/* ---- values */

static int wrong_value(struct walk *w, const struct scope *s, const struct config_key *key)
{
	struct nearest near;
	char want[120];

	config_value_describe(key, want, sizeof(want));
	if (!is_type(w, YAML_SCALAR_EVENT))
		return fail(w, "%s%s: expected %s, found %s", s->prefix, key->path, want,
			    type_name(w));
	nearest_init(&near, scalar(w));
	for (const char *p = key->type == CONFIG_ENUM ? key->words : ""; *p;) {
		size_t len = strcspn(p, "|");

		nearest_offer(&near, p, len);
		p += len + (p[len] == '|');
	}
	if (near.word)
		return fail(w, "%s%s: expected %s, found \"%.40s\"; did you mean \"%.*s\"?",
			    s->prefix, key->path, want, scalar(w), (int)near.len, near.word);
	return fail(w, "%s%s: expected %s, found \"%.40s\"", s->prefix, key->path, want, scalar(w));
}

static int walk_strings(struct walk *w, const struct scope *s, const struct config_key *key)
{
	struct config_strings *field = config_field(key, s->out);
	int r;

	config_value_release(key, field);
	while ((r = next(w)) == 0 && !is_type(w, YAML_SEQUENCE_END_EVENT)) {
		if (!is_type(w, YAML_SCALAR_EVENT))
			return wrong_value(w, s, key);
		config_strings_add(field, scalar(w));
	}
	return r;
}

/* Notes the scalar, the name of a member. */
static int note_name(struct walk *w, struct map *names)
{
	if (!is_type(w, YAML_SCALAR_EVENT))
		return fail(w, "expected the name of a key, found %s", type_name(w));
	if (map_put(names, scalar(w), w))
		return fail(w, "\"%.80s\" is given twice", scalar(w));
	return 0;
}

static int walk_pairs(struct walk *w, const struct scope *s, const struct config_key *key)
{
	cleanup(map_free_at) struct map *names = map_new();
	struct config_pairs *field = config_field(key, s->out);
	int r;

	config_value_release(key, field);
	while ((r = next(w)) == 0 && !is_type(w, YAML_MAPPING_END_EVENT)) {
		cleanup(free_at) char *name = NULL;

		r = note_name(w, names);
		if (r < 0)
			return r;
		name = mem_strdup(scalar(w));
		r = next(w);
		if (r < 0)
			return r;
		if (!is_type(w, YAML_SCALAR_EVENT))
			return wrong_value(w, s, key);
		config_pairs_add(field, name, scalar(w));
	}
	return r;
}

static int walk_mapping(struct walk *w, const struct scope *s, const char *section);

/* One item of a list, which begins with the current event. */
static int walk_item(struct walk *w, const struct scope *outer, const struct config_key *key,
		     struct config_list *list)
{
	size_t index = list->count, key_count = 0;
	cleanup(free_at) bool *given = NULL;
	char prefix[PATH_LEN_MAX];
	struct scope s = {.keys = key->item_keys, .prefix = prefix};

	if (!is_type(w, YAML_MAPPING_START_EVENT))
		return wrong_value(w, outer, key);
	while (key->item_keys[key_count].path)
		key_count++;
	s.out = config_list_add(list, key->item_size);
	given = mem_array(key_count, sizeof(bool));
	s.given = given;
	config_defaults(s.keys, s.out);
	snprintf(prefix, sizeof(prefix), "%s%s[%zu].", outer->prefix, key->path, index);
	return walk_mapping(w, &s, "");
}

static int walk_list(struct walk *w, const struct scope *s, const struct config_key *key)
{
	struct config_list *field = config_field(key, s->out);
	int r = enter(w);

	if (r < 0)
		return r;
	config_value_release(key, field);
	while ((r = next(w)) == 0 && !is_type(w, YAML_SEQUENCE_END_EVENT)) {
		r = walk_item(w, s, key, field);
		if (r < 0)
			return r;
	}
	w->depth--;
	return r;
}

static int walk_ignored(struct walk *w, const struct scope *s, const struct config_key *key)
{
	log_warn("configuration key has no effect here", "file=\"%s\" line=%zu key=\"%s%s\"",
		 w->name, w->event.start_mark.line + 1, s->prefix, key->path);
	return skip_node(w);
}

/* The value of a key begins with the current event. */
static int walk_value(struct walk *w, const struct scope *s, const struct config_key *key)
{
	bool is_list = is_type(w, YAML_SEQUENCE_START_EVENT);

	if (key->type == CONFIG_IGNORED)
		return walk_ignored(w, s, key);
	if (is_null(w))
		return 0;
	if (key->type == CONFIG_STRINGS && is_list)
		return walk_strings(w, s, key);
	if (key->type == CONFIG_LIST && is_list)
		return walk_list(w, s, key);
	if (key->type == CONFIG_MAP && is_type(w, YAML_MAPPING_START_EVENT))
		return walk_pairs(w, s, key);
	if (is_type(w, YAML_SCALAR_EVENT) &&
	    config_value_set(key, config_field(key, s->out), scalar(w)))
		return 0;
	return wrong_value(w, s, key);
}

/* ---- keys */

/* Calls see() for a key's path and each of its aliases, until it returns true. */
static bool each_path(const struct config_key *key, bool (*see)(const char *, size_t, void *),
		      void *arg)
{
	const char *p = key->aliases ? key->aliases : "";

	if (see(key->path, strlen(key->path), arg))
		return true;
	while (*p) {
		size_t len = strcspn(p, " ");

		if (len && see(p, len, arg))
			return true;
		p += len + (p[len] == ' ');
	}
	return false;
}

static bool is_path(const char *path, size_t len, void *arg)
{
	return strlen(arg) == len && memcmp(path, arg, len) == 0;
}

static bool is_below(const char *path, size_t len, void *arg)
{
	size_t n = strlen(arg);

	return len > n && path[n] == '.' && memcmp(path, arg, n) == 0;
}

/* Offers a path and the sections that it lies in. */
static bool offer(const char *path, size_t len, void *arg)
{
	for (size_t i = 0; i <= len; i++)
		if (i == len || path[i] == '.')
			nearest_offer(arg, path, i);
	return false;
}

static int unknown_key(struct walk *w, const struct scope *s, const char *path)
{
	struct nearest near;

	nearest_init(&near, path);
	for (const struct config_key *k = s->keys; k->path; k++)
		each_path(k, offer, &near);
	if (near.word)
		return fail(w, "unknown key \"%s%s\"; did you mean \"%s%.*s\"?", s->prefix, path,
			    s->prefix, (int)near.len, near.word);
	return fail(w, "unknown key \"%s%s\"", s->prefix, path);
}

static void note_key(const struct walk *w, const struct scope *s, const struct config_key *k)
{
	cleanup(free_at) char *path = NULL;

	if (!w->note)
		return;
	path = mem_printf("%s%s", s->prefix, k->path);
	w->note(path, w->event.start_mark.line + 1, w->note_arg);
}

/* The current event is the name of a member of section. */
static int walk_member(struct walk *w, const struct scope *s, const char *section)
{
	char path[PATH_LEN_MAX];
	bool is_section = false;
	int r;

	if (snprintf(path, sizeof(path), "%s%s%s", section, *section ? "." : "", scalar(w)) >=
	    (int)sizeof(path))
		return fail(w, "unknown key \"%.60s...\"", path);
	for (const struct config_key *k = s->keys; k->path; k++) {
		if (each_path(k, is_path, path)) {
			if (s->given[k - s->keys])
				return fail(w, "\"%s%s\" is given twice, here as \"%s%s\"",
					    s->prefix, k->path, s->prefix, path);
			s->given[k - s->keys] = true;
			note_key(w, s, k);
			r = next(w);
			return r < 0 ? r : walk_value(w, s, k);
		}
		is_section = is_section || each_path(k, is_below, path);
	}
	if (!is_section)
		return unknown_key(w, s, path);
	r = next(w);
	if (r < 0 || is_null(w))
		return r;
	if (!is_type(w, YAML_MAPPING_START_EVENT))
		return fail(w, "%s%s: expected a mapping, found %s", s->prefix, path, type_name(w));
	return walk_mapping(w, s, path);
}

static int walk_mapping(struct walk *w, const struct scope *s, const char *section)
{
	cleanup(map_free_at) struct map *names = map_new();
	int r = enter(w);

	if (r < 0)
		return r;
	while ((r = next(w)) == 0 && !is_type(w, YAML_MAPPING_END_EVENT)) {
		r = note_name(w, names);
		if (r == 0)
			r = walk_member(w, s, section);
		if (r < 0)
			return r;
	}
	w->depth--;
	return r;
}

static int walk_document(struct walk *w, const struct scope *s)
{
	int r = 0;

	/* An empty file has no document, one of comments may have an empty one. */
	while (r == 0 && (is_type(w, YAML_NO_EVENT) || is_type(w, YAML_STREAM_START_EVENT) ||
			  is_type(w, YAML_DOCUMENT_START_EVENT)))
		r = next(w);
	if (r < 0 || is_type(w, YAML_STREAM_END_EVENT))
		return r;
	if (is_type(w, YAML_MAPPING_START_EVENT))
		r = walk_mapping(w, s, "");
	else if (!is_null(w))
		r = fail(w, "expected \"key: value\" lines, found %s", type_name(w));
	if (r == 0)
		r = next(w);
	if (r == 0)
		r = next(w);
	if (r == 0 && !is_type(w, YAML_STREAM_END_EVENT))
		r = fail(w, "a second document begins");
	return r;
}

static int parse(struct walk w, const struct config_key *keys, const char *text, size_t len,
		 void *out)
{
	cleanup(free_at) bool *given = NULL;
	struct scope s = {.keys = keys, .out = out, .prefix = ""};
	size_t key_count = 0;
	int r;

	config_defaults(keys, out);
	if (len > FILE_LEN_MAX)
		return err_blame(
			w.e, "SK100",
			err_set(w.e, EINVAL, "%s: longer than %u bytes", w.name, FILE_LEN_MAX));
	while (keys[key_count].path)
		key_count++;
	given = mem_array(key_count, sizeof(bool));
	s.given = given;
	if (!yaml_parser_initialize(&w.parser))
		abort();
	yaml_parser_set_input_string(&w.parser, (const unsigned char *)text, len);
	r = walk_document(&w, &s);
	yaml_event_delete(&w.event);
	yaml_parser_delete(&w.parser);
	return r;
}

int config_parse(const struct config_key *keys, const char *name, const char *text, size_t len,
		 void *out, struct err *e)
{
	struct err unheard;

	return parse((struct walk){.name = name, .e = e ? e : &unheard}, keys, text, len, out);
}

int config_load_noting(const struct config_key *keys, const char *file, void *out,
		       void (*note)(const char *path, size_t line, void *arg), void *arg,
		       struct err *e)
{
	struct err unheard;
	const struct walk w = {.name = file, .e = e ? e : &unheard, .note = note, .note_arg = arg};
	cleanup(close_at) int fd = open(file, O_RDONLY | O_CLOEXEC);
	cleanup(buf_release) struct buf text = BUF_INIT(FILE_LEN_MAX + 4096);
	char part[4096];
	ssize_t n;

	if (fd < 0)
		return err_set(e, errno, "open %s", file);
	while ((n = read(fd, part, sizeof(part))) > 0 && text.len <= FILE_LEN_MAX)
		buf_append(&text, part, (size_t)n);
	if (n < 0)
		return err_set(e, errno, "read %s", file);
	return parse(w, keys, text.data ? text.data : "", text.len, out);
}

int config_load(const struct config_key *keys, const char *file, void *out, struct err *e)
{
	return config_load_noting(keys, file, out, NULL, NULL, e);
}

/* ---- what is in force */

struct visit {
	void (*fn)(const char *path, const struct config_key *key, const char *text, void *arg);
	void *arg;
};

static void visit(const struct config_key *keys, const void *config, const char *prefix,
		  const struct visit *v)
{
	for (const struct config_key *k = keys; k->path; k++) {
		const void *field = (const char *)config + k->offset;
		cleanup(free_at) char *path = mem_printf("%s%s", prefix, k->path);
		const struct config_list *list = field;

		if (k->type == CONFIG_IGNORED)
			continue;
		if (k->type != CONFIG_LIST) {
			cleanup(free_at) char *text = config_value_print(k, field);

			v->fn(path, k, text, v->arg);
			continue;
		}
		if (list->count == 0)
			v->fn(path, k, "[]", v->arg);
		for (size_t i = 0; i < list->count; i++) {
			cleanup(free_at) char *below = mem_printf("%s[%zu].", path, i);

			visit(k->item_keys, (const char *)list->items + i * k->item_size, below, v);
		}
	}
}

void config_each(const struct config_key *keys, const void *config,
		 void (*fn)(const char *path, const struct config_key *key, const char *text,
			    void *arg),
		 void *arg)
{
	visit(keys, config, "", &(struct visit){fn, arg});
}

/* ---- the reference page */

static void print_cell(FILE *out, const char *text)
{
	for (; *text; text++)
		fprintf(out, *text == '|' ? "\\|" : "%c", *text);
}

static void print_aliases(const char *p, FILE *out)
{
	for (const char *before = " Also: "; *p; before = ", ") {
		size_t len = strcspn(p, " ");

		fprintf(out, "%s`%.*s`", before, (int)len, p);
		p += len;
		p += strspn(p, " ");
		if (!*p)
			fputc('.', out);
	}
}

static void print_row(const struct config_key *k, const char *prefix, FILE *out)
{
	char type[160];

	config_value_describe(k, type, sizeof(type));
	fprintf(out, "| `%s%s` | ", prefix, k->path);
	print_cell(out, type);
	if (k->fallback && *k->fallback) {
		fprintf(out, " | `");
		print_cell(out, k->fallback);
		fprintf(out, "` | ");
	} else {
		fprintf(out, " | | ");
	}
	if (k->type == CONFIG_IGNORED)
		fprintf(out, "Accepted, has no effect here. ");
	print_cell(out, k->help ? k->help : "");
	print_aliases(k->aliases ? k->aliases : "", out);
	fprintf(out, " |\n");
}

static void print_rows(const struct config_key *keys, const char *prefix, FILE *out)
{
	for (const struct config_key *k = keys; k->path; k++) {
		cleanup(free_at) char *inner = mem_printf("%s%s[].", prefix, k->path);

		print_row(k, prefix, out);
		if (k->type == CONFIG_LIST)
			print_rows(k->item_keys, inner, out);
	}
}

void config_print_reference(const struct config_key *keys, FILE *out)
{
	fprintf(out, "| key | type | default | meaning |\n|---|---|---|---|\n");
	print_rows(keys, "", out);
}
