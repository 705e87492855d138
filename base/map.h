/* Hash table from a byte string to a pointer. Keys are copied. No lock of its own. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

struct map;

struct map *map_new(void);
/* Values are the owner's: free them first if they must be. NULL is fine. */
void map_free(struct map *m);
static inline void map_free_at(struct map **m)
{
	map_free(*m);
	*m = NULL;
}

size_t map_count(const struct map *m);
void *map_get(const struct map *m, const char *key); /* NULL if absent */
/* Returns the value that was there before (or NULL). value must not be NULL. */
void *map_put(struct map *m, const char *key, void *value);
void *map_remove(struct map *m, const char *key); /* the value removed, or NULL */
/* Iterates in no order: start with *at = 0; false at the end. No put/remove in between, except that
 * the entry just returned may be removed. */
bool map_next(const struct map *m, size_t *at, const char **key_out, void **value_out);

#endif
