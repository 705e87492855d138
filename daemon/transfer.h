/*
 * Bytes on their way: one piece from a parent, or a run of pieces from the origin, received
 * straight into the store's slots, compared, committed and published. Blocking, straight-line code
 * for fetch workers. Must not know: why these pieces, what comes next, schedulers.
 */
#ifndef DAEMON_TRANSFER_H
#define DAEMON_TRANSFER_H

#include "base/net.h"
#include "base/trace.h"
#include "daemon/history.h"
#include "daemon/piece.h"
#include "daemon/source.h"
#include "daemon/store.h"

struct bucket;
struct host;
struct origin;
struct piece_client;

/* Whose fault a failure is. */
enum transfer_fault {
	TRANSFER_NO_FAULT,
	TRANSFER_STORE,	    /* our disk; EBUSY: too many volatile pieces, later it may work */
	TRANSFER_SENDER,    /* cannot be reached, stalls, talks nonsense */
	TRANSFER_LACKS,	    /* the parent has not got the piece */
	TRANSFER_LOST,	    /* it was on its way to the parent, and did not get there */
	TRANSFER_CORRUPT,   /* wrong bytes, or none to compare with */
	TRANSFER_CANCELLED, /* by us */
	TRANSFER_BEATEN,    /* the piece is here, from another parent */
};

/* How far a piece from a parent has come. All atomic. */
struct transfer_meter {
	uint32_t got;	  /* bytes */
	int64_t heard_ms; /* when the last ones came, clock_ms() */
	bool coming;	  /* the parent has not got all of it either */
};

/* A whole piece in memory, compared with its digest. */
struct transfer_copy {
	void *data; /* owned */
	uint32_t length, crc32;
};

struct transfer {
	struct store_task *st;
	struct pieces *pieces;
	struct piece_client *piece_client;
	struct origin *origin;
	struct host *host;
	struct bucket *bandwidth; /* of what comes from parents */
	const char *same_as; /* headers that the origin's answers must agree with, NULL = any */
	const bool *cancelled;
	int64_t stall_ms;
	bool by_blocks;	   /* the parent may be asked so */
	struct span *span; /* of this transfer, is told bytes and times; NULL = none */
	/* A piece is in the store and published (volatile ones are not told). */
	void (*arrived)(void *arg, uint32_t index, const struct store_piece *piece,
			const struct piece_times *times);
	/* A piece from a parent is here so far that others should know, who can have what there is
	 * of it; or the rest will not come. */
	void (*coming)(void *arg, uint32_t index, bool comes);
	void (*went_volatile)(void *arg); /* the disk is full */
	/* NULL, or asked once for a piece from a parent, when it has come whole or will not. True:
	 * a copy came before, *out is the caller's. Later ones are of no use. */
	bool (*beaten)(void *arg, bool whole, struct transfer_copy *out);
	struct transfer_meter *meter; /* NULL = nobody looks */
	uint64_t *origin_bytes;	      /* atomic, counts what the origin sends; NULL = likewise */
	void *arg;
};

/* index is taken by the caller; it is published or given back. urgent: a reader waits for it. What
 * comes by blocks is passed on block by block, and shown to readers if one waits for it, each block
 * compared with its CRC-32, which together make that of the piece; it is kept only if all of them
 * were right. */
enum transfer_fault transfer_from_parent(const struct transfer *t, const struct net_addr *addr,
					 uint32_t index, bool urgent, struct err *e);
/* The same into memory, whoever has the piece. Whatever comes of it, the piece's state stays. */
enum transfer_fault transfer_copy_from_parent(const struct transfer *t, const struct net_addr *addr,
					      uint32_t index, bool urgent,
					      struct transfer_copy *out, struct err *e);
/* Puts a copy into the store, as if it had just come; its memory is freed. index is taken by the
 * caller. TRANSFER_NO_FAULT or TRANSFER_STORE. */
enum transfer_fault transfer_keep_copy(const struct transfer *t, uint32_t index,
				       struct transfer_copy *copy, struct err *e);
/* [first, first+count): first is taken by the caller, the others are reserved. Ends early, without
 * fault, at a piece that another took meanwhile. What is not published is given back. */
enum transfer_fault transfer_from_origin(const struct transfer *t, const struct source *s,
					 uint32_t first, uint32_t count, struct err *e);
/* The whole content in one stream, for origins without ranges: every piece that nobody has is kept,
 * the others are skipped. */
enum transfer_fault transfer_stream(const struct transfer *t, const struct source *s,
				    struct err *e);

#endif
