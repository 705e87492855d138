/* JSON through jansson, the only place that includes it besides those who build documents. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

static inline void json_decref_at(json_t **j)
{
	json_decref(*j);
	*j = NULL;
}

#define JSON_DEPTH_MAX 64 /* jansson recurses, and our threads have small stacks */

/* Whether nothing in it is nested deeper than JSON_DEPTH_MAX; text need not be JSON. */
bool json_is_shallow(const char *text, size_t len);
/* Parses at most len_max bytes, duplicates and deep nesting refused. EINVAL with line and
 * column, EMSGSIZE. */
must_check int json_parse(const char *text, size_t len, size_t len_max, json_t **out,
			  struct err *e);
/* The string member, or NULL if absent or not a string. Borrowed. */
const char *json_str(const json_t *obj, const char *key);
/* The non-negative integer member, or fallback. */
uint64_t json_u64(const json_t *obj, const char *key, uint64_t fallback);
/* Compact text; the caller frees. */
char *json_print(const json_t *j);

#endif
