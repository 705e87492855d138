/*
 * TOML files edited in place: the text is kept as it is, byte for byte, but for what an edit names.
 * Comments, order, blanks and unknown content stay. Source: TOML 1.0.0.
 *
 * A path is written as TOML writes it, bare parts bare and others in double quotes:
 * plugins."io.containerd.grpc.v1.cri".registry.config_path
 */
#ifndef CONTRIB_DFINIT_TOML_H
#define CONTRIB_DFINIT_TOML_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define TOML_LEN_MAX	 (1u << 20)
#define TOML_ENTRIES_MAX 4096

enum toml_kind {
	TOML_TABLE,   /* [path] */
	TOML_ELEMENT, /* [[path]] */
	TOML_KEY,     /* path = value */
};

struct toml_entry {
	enum toml_kind kind;
	char *path;
	size_t start, end;	 /* its lines, the newline included; an inline one's value only */
	size_t value, value_end; /* of a key */
	size_t header;		 /* of a key: the table it stands in, or TOML_NONE */
	size_t element;		 /* the last [[..]] it belongs to, or TOML_NONE */
	bool is_inline;		 /* stands in { } */
};

#define TOML_NONE SIZE_MAX

struct toml {
	char *text;
	size_t len;
	struct toml_entry *entries; /* in the order of the file */
	size_t count;
};

/* EINVAL "name:line: what is wrong" (also a key that stands twice), EMSGSIZE. Release it always. */
must_check int toml_parse(const char *name, const char *text, size_t len, struct toml *out,
			  struct err *e);
void toml_release(struct toml *t);

/* The key, or NULL; of several (elements of an array of tables) the first. Borrowed. */
const struct toml_entry *toml_key(const struct toml *t, const char *path);
/* Does anything of that path or below it exist? */
bool toml_has(const struct toml *t, const char *path);
/* path is prefix, or stands below it. */
bool toml_is_below(const char *path, const char *prefix);
/* The first part of path behind prefix, unquoted ("docker.io" of x."docker.io".y behind x), or
 * NULL. The caller frees. */
char *toml_part_behind(const char *path, const char *prefix);
/* The texts of a key's value: one, or those of an array; at most max. The caller frees each. */
size_t toml_texts(const struct toml *t, const struct toml_entry *key, char **out, size_t max);
/* The text of a key, or NULL if it is absent or no text. The caller frees. */
char *toml_text_of(const struct toml *t, const char *path);
/* text as a TOML string. The caller frees. */
char *toml_quote(const char *text);

/* Sets table.key to value (written as TOML): in its place, else behind the last key of its table,
 * else in a new table at the end. EOPNOTSUPP: the table is an inline one. */
must_check int toml_set(struct toml *t, const char *table, const char *key, const char *value,
			struct err *e);
/* Makes comments of all lines of path and below. EOPNOTSUPP: stands in an inline table. */
must_check int toml_comment_out(struct toml *t, const char *path, struct err *e);
/* Puts text (whole lines) in at a place. EINVAL: what comes out is no TOML. */
must_check int toml_insert(struct toml *t, size_t at, const char *text, struct err *e);

#endif
