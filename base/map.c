/*
 * A hash table with open addressing. A removed entry leaves a mark, so that iteration may remove
 * what it was given; marks go when the table is rebuilt. Keys come from outside, so the hash has
 * a seed that nobody can know. Invariant: entries and marks fill at most 3/4 of the slots.
 */
#include "base/map.h"

#include "base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define SLOTS_MIN 16

struct entry {
	char *key;   /* NULL = never used */
	void *value; /* NULL with a key = removed: only key's mark is left */
	uint64_t hash;
};

struct map {
	struct entry *slots;
	size_t slot_count; /* a power of two */
	size_t count;	   /* entries */
	size_t used;	   /* entries and marks */
};

static char removed_mark[1];
static uint64_t seed;
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_init(void)
{
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		abort();
}

static uint64_t hash_of(const char *key)
{
	return XXH3_64bits_withSeed(key, strlen(key), seed);
}

struct map *map_new(void)
{
	struct map *m = mem_new(struct map);

	pthread_once(&seed_once, seed_init);
	m->slot_count = SLOTS_MIN;
	m->slots = mem_array(m->slot_count, sizeof(m->slots[0]));
	return m;
}

void map_free(struct map *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->slot_count; i++)
		if (m->slots[i].value)
			free(m->slots[i].key);
	free(m->slots);
	free(m);
}

size_t map_count(const struct map *m)
{
	return m->count;
}

static struct entry *find(const struct map *m, const char *key, uint64_t hash)
{
	size_t mask = m->slot_count - 1;

	for (size_t i = hash & mask; m->slots[i].key; i = (i + 1) & mask) {
		struct entry *s = &m->slots[i];

		if (s->value && s->hash == hash && strcmp(s->key, key) == 0)
			return s;
	}
	return NULL;
}

/* The first slot for a key that is not there. */
static struct entry *free_slot(const struct map *m, uint64_t hash)
{
	size_t mask = m->slot_count - 1;
	size_t i = hash & mask;

	while (m->slots[i].value)
		i = (i + 1) & mask;
	return &m->slots[i];
}

/* A new table of the size that the entries (not the marks) need. */
static void rebuild(struct map *m)
{
	struct map old = *m;

	m->slot_count = SLOTS_MIN;
	while (m->slot_count < 2 * (m->count + 1))
		m->slot_count *= 2;
	m->slots = mem_array(m->slot_count, sizeof(m->slots[0]));
	m->used = m->count;
	for (size_t i = 0; i < old.slot_count; i++)
		if (old.slots[i].value)
			*free_slot(m, old.slots[i].hash) = old.slots[i];
	free(old.slots);
}

void *map_get(const struct map *m, const char *key)
{
	const struct entry *s = find(m, key, hash_of(key));

	return s ? s->value : NULL;
}

void *map_put(struct map *m, const char *key, void *value)
{
	uint64_t hash = hash_of(key);
	struct entry *s = find(m, key, hash);
	void *before;

	assert(value);
	if (s) {
		before = s->value;
		s->value = value;
		return before;
	}
	if ((m->used + 1) * 4 > m->slot_count * 3)
		rebuild(m);
	s = free_slot(m, hash);
	if (!s->key)
		m->used++;
	*s = (struct entry){mem_strdup(key), value, hash};
	m->count++;
	return NULL;
}

void *map_remove(struct map *m, const char *key)
{
	struct entry *s = find(m, key, hash_of(key));
	void *value;

	if (!s)
		return NULL;
	value = s->value;
	free(s->key);
	*s = (struct entry){.key = removed_mark};
	m->count--;
	return value;
}

bool map_next(const struct map *m, size_t *at, const char **key_out, void **value_out)
{
	while (*at < m->slot_count) {
		const struct entry *s = &m->slots[(*at)++];

		if (!s->value)
			continue;
		*key_out = s->key;
		*value_out = s->value;
		return true;
	}
	return false;
}
