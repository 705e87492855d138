/*
 * A question of the file system's (lookup, open, read) while it is being answered. It is answered
 * once or taken back, never both; work that nobody waits for any more goes on to its end and is
 * dropped. Embedded in the work's own struct, counted. Thread-safe.
 */
#ifndef DAEMON_PENDING_H
#define DAEMON_PENDING_H

#include "base/lock.h"

/* All that are under way. */
struct pendings {
	struct lock lock;
	struct cond none;
	unsigned count;
};

struct pending {
	void (*free)(struct pending *p); /* when the last reference goes; without locks */
	/* private; pendings.lock */
	struct pendings *all;
	unsigned refs;
	void *ask, **slot;
};

void pendings_init(struct pendings *ps);
/* Waits until none is left. */
void pendings_release(struct pendings *ps);

/* One reference, the caller's. slot is the question's place for its answerer. */
void pending_begin(struct pending *p, struct pendings *all, void *ask, void **slot,
		   void (*free_fn)(struct pending *p));
void pending_ref(struct pending *p);
void pending_unref(struct pending *p);
/* The question, which the caller answers now; NULL if it was answered or taken back. */
void *pending_answer(struct pending *p);
/* Takes the question in whose slot it stands back. A reference, NULL if it is too late. */
struct pending *pending_take_back(struct pendings *all, void **slot);

#endif
