/* Sources, and the places noted for digests: a place is shared by all digests seen there, so a
 * token is kept once. */
#include "daemon/source.h"

#include "base/digest.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"

#include <string.h>

#define RANK_SOURCES	 38
#define BYTES_MAX	 (4u << 20)
#define TEXT_MAX	 (16u << 10) /* of one base, repository or authorization */
#define PLACES_OF_DIGEST 4

/* A repository. */
struct place {
	unsigned refs;
	char *key; /* base, newline, repository */
	char *base, *repository, *authorization;
	size_t bytes;
};

struct note {
	char hex[DIGEST_HEX_LEN + 1];
	struct place *places[PLACES_OF_DIGEST]; /* newest first, NULL at the end */
	struct list link;			/* least recently used first */
};

struct sources {
	struct lock lock; /* rank 38, for all below */
	struct map *notes, *places;
	struct list lru;
	size_t bytes;
	struct place *fixed[PLACES_OF_DIGEST];
	size_t fixed_count;
};

/* ---- one source */

static bool is_for_one_request(const char *name)
{
	static const char *const names[] = {
		"Range",      "If-Range",	   "If-Match",	     "If-None-Match",
		"Host",	      "If-Modified-Since", "Connection",     "If-Unmodified-Since",
		"TE",	      "Content-Length",	   "Content-Type",   "Transfer-Encoding",
		"Trailer",    "Upgrade",	   "Expect",	     "Proxy-Authorization",
		"Keep-Alive", "Proxy-Connection",  "Accept-Encoding"};

	for (size_t i = 0; i < array_len(names); i++)
		if (strcasecmp(name, names[i]) == 0)
			return true;
	return strncasecmp(name, "X-Dragonfly-", strlen("X-Dragonfly-")) == 0;
}

struct source *source_new(const char *url, const struct config_pairs *headers)
{
	struct source *s = mem_new(struct source);
	size_t count = headers ? headers->count : 0;

	s->refs = 1;
	s->url = mem_strdup(url);
	s->headers.items = mem_array(count, sizeof(s->headers.items[0]));
	for (size_t i = 0; i < count; i++) {
		if (is_for_one_request(headers->items[i].name))
			continue;
		s->headers.items[s->headers.count].name = mem_strdup(headers->items[i].name);
		s->headers.items[s->headers.count++].value = mem_strdup(headers->items[i].value);
	}
	return s;
}

struct source *source_ref(struct source *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void source_unref(struct source *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < s->headers.count; i++) {
		free(s->headers.items[i].name);
		free(s->headers.items[i].value);
	}
	free(s->headers.items);
	free(s->url);
	free(s);
}

void source_unref_at(struct source **s)
{
	source_unref(*s);
	*s = NULL;
}

/* ---- places; with the lock */

static void place_unref(struct sources *ss, struct place *p)
{
	if (--p->refs > 0)
		return;
	map_remove(ss->places, p->key);
	ss->bytes -= p->bytes;
	free(p->key);
	free(p->base);
	free(p->repository);
	free(p->authorization);
	free(p);
}

static void place_set_authorization(struct sources *ss, struct place *p, const char *authorization)
{
	size_t was = p->authorization ? strlen(p->authorization) : 0;
	size_t now = authorization ? strlen(authorization) : 0;

	free(p->authorization);
	p->authorization = mem_strdup(authorization);
	p->bytes += now - was;
	ss->bytes += now - was;
}

/* A new reference. A word without authorization does not take one away. */
static struct place *place_get(struct sources *ss, const char *base, const char *repository,
			       const char *authorization)
{
	cleanup(free_at) char *key = mem_printf("%s\n%s", base, repository);
	struct place *p = map_get(ss->places, key);

	if (!p) {
		p = mem_new(struct place);
		p->bytes = sizeof(*p) + 2 * strlen(key);
		ss->bytes += p->bytes;
		p->base = mem_strdup(base);
		p->repository = mem_strdup(repository);
		map_put(ss->places, key, p);
		p->key = take_ptr(&key);
	}
	if (authorization)
		place_set_authorization(ss, p, authorization);
	p->refs++;
	return p;
}

static struct source *place_source(const struct place *p, const char *hex)
{
	cleanup(free_at) char *url =
		mem_printf("%s/v2/%s/blobs/sha256:%s", p->base, p->repository, hex);
	struct config_pairs headers = {0};
	__typeof__(*headers.items) one = {(char *)"Authorization", p->authorization};

	if (p->authorization) {
		headers.items = &one;
		headers.count = 1;
	}
	return source_new(url, &headers);
}

/* ---- notes; with the lock */

static void note_free(struct sources *ss, struct note *n)
{
	map_remove(ss->notes, n->hex);
	list_remove(&n->link);
	for (size_t i = 0; i < PLACES_OF_DIGEST && n->places[i]; i++)
		place_unref(ss, n->places[i]);
	ss->bytes -= sizeof(*n);
	free(n);
}

static struct note *note_get(struct sources *ss, const char *hex)
{
	struct note *n = map_get(ss->notes, hex);

	if (!n) {
		n = mem_new(struct note);
		memcpy(n->hex, hex, DIGEST_HEX_LEN);
		list_init(&n->link);
		map_put(ss->notes, hex, n);
		ss->bytes += sizeof(*n);
	}
	list_remove(&n->link);
	list_push_back(&ss->lru, &n->link);
	return n;
}

/* To the front; takes the reference over. */
static void note_put(struct sources *ss, struct note *n, struct place *p)
{
	size_t at = 0;

	while (at < PLACES_OF_DIGEST - 1 && n->places[at] && n->places[at] != p)
		at++;
	if (n->places[at])
		place_unref(ss, n->places[at]);
	memmove(&n->places[1], &n->places[0], at * sizeof(n->places[0]));
	n->places[0] = p;
}

/* ---- the table */

struct sources *sources_new(void)
{
	struct sources *ss = mem_new(struct sources);

	lock_init(&ss->lock, RANK_SOURCES);
	ss->notes = map_new();
	ss->places = map_new();
	list_init(&ss->lru);
	return ss;
}

void sources_free(struct sources *ss)
{
	if (!ss)
		return;
	while (!list_empty(&ss->lru))
		note_free(ss, list_entry(ss->lru.next, struct note, link));
	for (size_t i = 0; i < ss->fixed_count; i++)
		place_unref(ss, ss->fixed[i]);
	map_free(ss->notes);
	map_free(ss->places);
	lock_release(&ss->lock);
	free(ss);
}

void sources_add(struct sources *ss, const char *base, const char *repository,
		 const char *authorization)
{
	lock_guard(&ss->lock);
	if (ss->fixed_count < PLACES_OF_DIGEST)
		ss->fixed[ss->fixed_count++] = place_get(ss, base, repository, authorization);
}

void sources_note(struct sources *ss, const char *digest_hex, const char *base,
		  const char *repository, const char *authorization)
{
	if (!digest_is_hex64(digest_hex) || strlen(base) > TEXT_MAX ||
	    strlen(repository) > TEXT_MAX || (authorization && strlen(authorization) > TEXT_MAX))
		return;
	lock_guard(&ss->lock);
	note_put(ss, note_get(ss, digest_hex), place_get(ss, base, repository, authorization));
	while (ss->bytes > BYTES_MAX && ss->lru.next->next != &ss->lru)
		note_free(ss, list_entry(ss->lru.next, struct note, link));
}

size_t sources_find(struct sources *ss, const char *digest_hex,
		    struct source *out[SOURCES_OF_DIGEST_MAX])
{
	struct place *places[SOURCES_OF_DIGEST_MAX];
	struct note *n;
	size_t count = 0;

	lock_guard(&ss->lock);
	n = map_get(ss->notes, digest_hex);
	for (size_t i = 0; n && i < PLACES_OF_DIGEST && n->places[i]; i++)
		places[count++] = n->places[i];
	for (size_t i = 0; i < ss->fixed_count; i++) {
		bool seen = false;

		for (size_t j = 0; j < count; j++)
			seen = seen || places[j] == ss->fixed[i];
		if (!seen)
			places[count++] = ss->fixed[i];
	}
	for (size_t i = 0; i < count; i++)
		out[i] = place_source(places[i], digest_hex);
	if (n) {
		list_remove(&n->link);
		list_push_back(&ss->lru, &n->link);
	}
	return count;
}
