/* Downloads that somebody asked for (by gRPC, by the proxy), counted under Dragonfly's names. */
#ifndef DAEMON_DOWNLOADS_H
#define DAEMON_DOWNLOADS_H

#include <stdint.h>

enum downloads_figure {
	DOWNLOADS_BEGUN,
	DOWNLOADS_FAILED,
	DOWNLOADS_PREFETCHED, /* the rest of a task of which a part was asked for */
	DOWNLOADS_COUNTERS,
	DOWNLOADS_ENDED = DOWNLOADS_COUNTERS, /* once for each that has begun, however it went */
};

/* tag, application: NULL = none. */
void downloads_count(enum downloads_figure f, const char *tag, const char *application,
		     int priority);
/* A task was fetched whole. */
void downloads_took(uint64_t content_length, int64_t ms);
/* A request to an origin or registry has ended. */
void downloads_backend(const char *scheme, const char *method, int64_t ms, int failed);

#endif
