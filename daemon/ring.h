/*
 * The consistent-hash ring that tells which scheduler keeps a task. It is exactly the one of
 * Dragonfly's client, so that both kinds of daemons of a cluster ask the same scheduler for a task:
 * one point per socket address, SipHash-2-4 with a zero key, over the bytes that Rust's derived
 * Hash feeds for a SocketAddr (crate hashring 0.3). Not thread-safe.
 */
#ifndef DAEMON_RING_H
#define DAEMON_RING_H

#include "base/net.h"

#define RING_MAX     64
#define RING_KEY_LEN 5 /* characters of a task id that count */

struct ring {
	struct {
		uint64_t hash;
		void *value;
	} points[RING_MAX]; /* by growing hash */
	unsigned count;
};

/* addr NULL or of another family: the text is what is hashed. Ignored when the ring is full. */
void ring_add(struct ring *r, const struct net_addr *addr, const char *text, void *value);
/* The value whose turn the task is; NULL if the ring is empty. */
void *ring_find(const struct ring *r, const char *task_id);

/* SipHash-2-4 with a zero key. */
uint64_t ring_hash(const void *data, size_t len);

#endif
