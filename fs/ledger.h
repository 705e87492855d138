/*
 * What the kernel has been told of a mount's nodes, in memory that outlives the process: a memfd,
 * which the next process gets together with /dev/fuse. Without it that process could not say what a
 * node id means, and would not know when the kernel lets go of it.
 *
 * A process may be killed between any two of its instructions: a node is there once its id is,
 * which is written last and taken away first. Counts may be one too high afterwards, never too low.
 *
 * Format (native byte order, it never leaves the machine): struct ledger_head in the first page,
 * then slots of LEDGER_SLOT bytes: nodes, and what is left of names that are too long for one. Who
 * changes it raises LEDGER_LAYOUT: a process does not take over what it cannot read. Not
 * thread-safe.
 */
#ifndef FS_LEDGER_H
#define FS_LEDGER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define LEDGER_LAYOUT	1u
#define LEDGER_SLOT	256
#define LEDGER_INIT_MAX 256
#define LEDGER_NAME_MAX 4095

/* Who has a node's file open, in the kernel's eyes. */
struct ledger_opens {
	uint32_t cached, passthrough;
	int32_t backing_id;
	uint32_t inherited; /* those of cached that an earlier process answered */
};

struct ledger_node {
	uint64_t id; /* 0: no node; see above */
	uint64_t parent, lookups, size, version;
	int64_t mtime_ms;
	struct ledger_opens opens;
	uint32_t more; /* slot with more of the name, 0 = none */
	uint16_t name_len;
	uint8_t kind, lasting, named; /* enum fs_kind */
	char name[LEDGER_SLOT - 73];
};

struct ledger_head {
	char magic[8];
	uint32_t layout, slot_count;   /* there may be; slot 0 is this head's */
	uint32_t slots_used;	       /* none behind them was ever used */
	uint32_t generation;	       /* of the process that serves, from 0 */
	int64_t started_ms;	       /* the first one; wall */
	uint32_t dev_major, dev_minor; /* of the mount */
	uint32_t passthrough;	       /* agreed upon */
	uint32_t init_len; /* the kernel's INIT, to be answered by each process's libfuse */
	char init[LEDGER_INIT_MAX];
};

struct ledger;

/* An empty one for so many slots. */
must_check int ledger_new(uint32_t slot_count, struct ledger **out, struct err *e);
/* An earlier process's; owns fd, also when it fails. EBADMSG. */
must_check int ledger_open(int fd, struct ledger **out, struct err *e);
void ledger_free(struct ledger *l);
int ledger_fd(const struct ledger *l); /* borrowed */
struct ledger_head *ledger_head(struct ledger *l);

/* A node like this one with this name (not longer than LEDGER_NAME_MAX); NULL: the ledger is full.
 */
struct ledger_node *ledger_add(struct ledger *l, const struct ledger_node *like, const char *name);
void ledger_remove(struct ledger *l, struct ledger_node *n);
/* Puts the name into text, of LEDGER_NAME_MAX + 1 bytes. */
must_check int ledger_name(struct ledger *l, const struct ledger_node *n, char *text,
			   struct err *e);
/* The node after n, the first after NULL, NULL after the last. */
struct ledger_node *ledger_next(struct ledger *l, const struct ledger_node *n);

#endif
