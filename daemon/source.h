/*
 * Where a task's bytes may be had from outside the cluster: a URL and the headers to ask with. And
 * what this node has seen: which repositories are said to have which blob, so that a bare digest
 * finds its registry. Must not know: tasks, pieces.
 */
#ifndef DAEMON_SOURCE_H
#define DAEMON_SOURCE_H

#include "base/config.h"

#include <stddef.h>

#define SOURCES_OF_DIGEST_MAX 8

/* Constant but for what its first answer told, and shared by count. */
struct source {
	unsigned refs; /* atomic */
	char *url;
	struct config_pairs headers;
	int ranges; /* atomic: 1 ranged GETs work, -1 they do not, 0 nobody has asked */
};

/* Copies. Headers that say what only one request can (Range, Host, conditions, hop-by-hop) are left
 * out. headers may be NULL. */
struct source *source_new(const char *url, const struct config_pairs *headers);
struct source *source_ref(struct source *s);
void source_unref(struct source *s); /* NULL is fine */
void source_unref_at(struct source **s);

struct sources; /* thread-safe */

struct sources *sources_new(void);
void sources_free(struct sources *ss);
/* A repository that is asked for every digest, after those noted. Not after the first find. */
void sources_add(struct sources *ss, const char *base, const char *repository,
		 const char *authorization);
/* As task_note_source(). A later word of the same repository brings its authorization up to date.
 * The least recently used digests are forgotten when all take more than 4 MiB. */
void sources_note(struct sources *ss, const char *digest_hex, const char *base,
		  const char *repository, const char *authorization);
/* References to at most SOURCES_OF_DIGEST_MAX places, the best first. Returns how many. */
size_t sources_find(struct sources *ss, const char *digest_hex,
		    struct source *out[SOURCES_OF_DIGEST_MAX]);

#endif
