/*
 * A parent as a child sees it: which pieces it has (SyncPieces) and how idle its link is
 * (SyncHost). Callbacks come on the rpc thread, without locks, and must not block.
 */
#ifndef DAEMON_PARENT_H
#define DAEMON_PARENT_H

#include "base/net.h"

struct parent;

struct parent_info {
	char peer_id[256], host_id[256];
	char ip[64];
	uint16_t port; /* gRPC (DfdaemonUpload) */
	bool is_seed;
};

/* What a parent says that it has. */
struct parent_piece {
	uint32_t number;
	uint64_t offset, length;
	bool later;	/* only for who waits for it; it is told again when it may be had anyway */
	bool by_blocks; /* may be asked for so (vortex.h) */
	struct net_addr addr; /* where */
};

struct parent_ops {
	void (*piece)(struct parent *p, const struct parent_piece *piece, void *arg);
	/* Its link: bytes per second, 0 = unknown. */
	void (*bandwidth)(struct parent *p, uint64_t tx, uint64_t tx_max, void *arg);
	/* Its piece stream is over (all told, or it is gone: e set). Once. */
	void (*closed)(struct parent *p, const struct err *e, void *arg);
};

/* Opens both streams. interested: the piece numbers still missing. own_host_id and own_peer_id name
 * the child. */
struct parent *parent_open(const struct parent_info *info, const char *task_id,
			   const char *own_host_id, const char *own_peer_id,
			   const uint32_t *interested, size_t interested_count,
			   const struct parent_ops *ops, void *arg);
const struct parent_info *parent_info(const struct parent *p);
/* Asks once more for a few pieces that readers wait for: short lists are answered before long ones
 * (herald.h), and a seed that reads the origin reads them next. An earlier question of this kind is
 * dropped. Not on a callback. */
void parent_ask_sooner(struct parent *p, const char *task_id, const char *own_host_id,
		       const uint32_t *numbers, size_t count);
/* Whether another piece of the task could come now. A parent that does not know the question is
 * none the worse. Not on a callback. */
void parent_tell_room(struct parent *p, const char *task_id, const char *own_host_id, bool full);
/* No callback is running or will come afterwards. Not from a callback. NULL is fine. */
void parent_free(struct parent *p);

#endif
