/* Counts attempts by key in windows of time: how many wrong passwords somebody may try. */
#ifndef CONTROL_MANAGER_LIMITER_H
#define CONTROL_MANAGER_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

struct limiter;
struct redis;

struct limiter *limiter_new(void);
/* Counts in redis, which outlives l, and so together with other managers; while it is away l counts
 * for itself. */
void limiter_share(struct limiter *l, struct redis *redis);
void limiter_free(struct limiter *l);
/* Counts one; false if that is more than `max` since the window of the key began. Old windows make
 * room for new ones; when there is none left, nobody may. */
bool limiter_take(struct limiter *l, const char *key, unsigned max, int64_t window_ms);
/* The key begins anew. */
void limiter_forget(struct limiter *l, const char *key);

#endif
