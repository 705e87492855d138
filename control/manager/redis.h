/*
 * One connection to a Redis that several managers share: counts that end by themselves. It may be
 * away at any time: whoever asks has an answer of his own for that.
 */
#ifndef CONTROL_MANAGER_REDIS_H
#define CONTROL_MANAGER_REDIS_H

#include "base/err.h"

#include <stdint.h>

struct redis;

struct redis_config {
	const char *const *addrs; /* "host:port", the first that answers is taken */
	unsigned addr_count;
	const char *user, *password; /* NULL = none */
	int64_t db;
};

/* Connects when it is asked first. The texts are kept by reference. */
struct redis *redis_new(const struct redis_config *config);
void redis_free(struct redis *r);

/* Adds one to a count that ends window_ms after its first one. ENOTCONN at once for some seconds
 * after an attempt that failed; blocks for at most a few seconds. */
must_check int redis_count(struct redis *r, const char *key, int64_t window_ms, int64_t *out,
			   struct err *e);
must_check int redis_forget(struct redis *r, const char *key, struct err *e);

#endif
