/* One configured value: text to field, its default, its release, and words about its type. Used by
 * config.c alone. */
#ifndef BASE_CONFIG_VALUE_H
#define BASE_CONFIG_VALUE_H

#include "base/config.h"

/* The field of key in the struct at out. */
static inline void *config_field(const struct config_key *key, void *out)
{
	return (char *)out + key->offset;
}

/* Sets a field of a type that one text can give (not MAP, LIST, IGNORED) from text; STRINGS become
 * the list of that one. What the field held is released. False: text is not of that type. */
bool config_value_set(const struct config_key *key, void *field, const char *text);
/* As a file would write it: "4001", "50GB", "10s", "[a, b]", "{a: b}"; "" if there is none (and for
 * LIST and IGNORED). The caller frees. */
char *config_value_print(const struct config_key *key, const void *field);
void config_value_release(const struct config_key *key, void *field);
/* What is accepted, with an example: "a time with its unit, e.g. 30s or 5m, at least 100 ms". */
void config_value_describe(const struct config_key *key, char *text, size_t size);

void config_strings_add(struct config_strings *s, const char *text);
void config_pairs_add(struct config_pairs *p, const char *name, const char *value);
/* Room for one more item, zeroed. */
void *config_list_add(struct config_list *l, size_t item_size);

#endif
