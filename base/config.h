/*
 * Configuration files: YAML against a table. One table per program drives parsing, defaults, errors
 * with file:line:column and the nearest right key, --check-config, and docs/reference/ (printed
 * by config_print_reference(), compared in a test).
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum config_type {
	CONFIG_BOOL,	 /* bool */
	CONFIG_U64,	 /* uint64_t, within min..max */
	CONFIG_PORT,	 /* uint16_t, 0..65535 */
	CONFIG_BYTES,	 /* uint64_t; "50GB", "8MiB", 1024 */
	CONFIG_DURATION, /* int64_t ms; "360s", "5m" */
	CONFIG_STRING,	 /* char * (owned; NULL if empty) */
	CONFIG_ENUM,	 /* char * (owned), one of the words in `words` */
	CONFIG_IP,	 /* char * (owned), a literal IP */
	CONFIG_STRINGS,	 /* struct config_strings: a list of text, or one text */
	CONFIG_MAP,	 /* struct config_pairs: a mapping of text to text */
	CONFIG_LIST,	 /* struct config_list: a list of mappings, each by `item` keys */
	CONFIG_IGNORED,	 /* known to Dragonfly, has no effect here: accepted, one warning */
};

struct config_strings {
	char **items;
	size_t count;
};
struct config_pairs {
	struct {
		char *name, *value;
	} * items;
	size_t count;
};
struct config_list {
	void *items; /* array of count structs of item_size bytes */
	size_t count;
};

struct config_key {
	const char *path; /* "storage.server.tcpPort"; in items relative to the item */
	enum config_type type;
	size_t offset;	      /* of the field in the program's struct (or item struct) */
	const char *fallback; /* default as text, NULL = none ("" / zero) */
	const char *help;  /* one or two sentences for the reference page: meaning, unit, effect */
	uint64_t min, max; /* U64, BYTES, DURATION (ms); max 0 = no bound */
	const char *words; /* ENUM: "tcp|quic" */
	const struct config_key *item_keys; /* LIST: the item's table, ends with path NULL */
	size_t item_size;
	const char *aliases; /* other paths that mean the same, separated by blanks */
};

/* Fills *out (zeroed by the caller) with the table's defaults. keys ends with path NULL. */
void config_defaults(const struct config_key *keys, void *out);
/* Defaults, then the file. EINVAL: "file:line:column: what is wrong; did you mean ...?". A missing
 * file is ENOENT. At most 1 MiB. Afterwards release it, whatever the result. */
must_check int config_load(const struct config_key *keys, const char *file, void *out,
			   struct err *e);
/* The same from memory; name stands in the errors. */
must_check int config_parse(const struct config_key *keys, const char *name, const char *text,
			    size_t len, void *out, struct err *e);
/* As config_load(), and tells of each key that the file gives where it stands: path with the list
 * it is an item of ("proxy.rules[0].regex"). For keys without effect too. */
must_check int config_load_noting(const struct config_key *keys, const char *file, void *out,
				  void (*note)(const char *path, size_t line, void *arg), void *arg,
				  struct err *e);
/* Calls fn for each value of a filled struct as a file would write it, items of lists one by one;
 * key: its row (of items: their own). Text is valid during the call. */
void config_each(const struct config_key *keys, const void *config,
		 void (*fn)(const char *path, const struct config_key *key, const char *text,
			    void *arg),
		 void *arg);
void config_release(const struct config_key *keys, void *out);
/* A Markdown table: key, type, default, meaning. */
void config_print_reference(const struct config_key *keys, FILE *out);

#endif
