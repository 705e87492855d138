/*
 * A piece in memory: one that lives nowhere else because the disk is full (piece.h, VOLATILE), or
 * the copy of one that readers are shown while it comes. Readers that were given it keep it until
 * they are done, whatever becomes of the piece meanwhile.
 *
 * Must not know: pieces' states, who reads.
 */
#ifndef DAEMON_HOLD_H
#define DAEMON_HOLD_H

#include "base/list.h"
#include "daemon/store.h"

#include <stdint.h>

struct hold {
	/* constant */
	int fd;
	uint32_t index;
	struct store *store;
	/* the owner's lock */
	int64_t used_ms;
	uint32_t blocks; /* bit: this one is here; of a piece that comes */
	struct list link;
	/* atomic */
	unsigned refs;
};

/* fd becomes its own. One reference. */
struct hold *hold_new(struct store *store, uint32_t index, int fd);
void hold_ref(struct hold *h);
void hold_unref(struct hold *h);
/* The one of this piece in a list; NULL = none. */
struct hold *hold_find(struct list *holds, uint32_t index);
/* A reference of each in the list, which is empty afterwards. */
void holds_unref(struct list *gone);

#endif
