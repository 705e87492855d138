/*
 * Keeps the connections of our mounts for the next process, so that a crash, a kill or an upgrade
 *is a pause for whoever reads through them (docs/adr/0004-mounts-outlive-the-daemon.md). Who keeps
 * them:
 *
 *	systemd		where the unit has a descriptor store (FDSTORE is set, base/notify.h)
 *	a holder	elsewhere: a small process of our own (holder_process.h), started when there
 *is something to keep; it gives up when no successor has come for hold_ms
 *
 * One thread at a time.
 */
#ifndef DAEMON_HOLDER_H
#define DAEMON_HOLDER_H

#include "fs/session.h"

#include <stdbool.h>
#include <stdint.h>

/* The names of what may be kept. */
#define HOLDER_BLOBS  "blobs"
#define HOLDER_LAYERS "layers"
#define HOLDER_TREES  "trees"

struct holder;

struct holder_config {
	const char *socket_path; /* of the holder process */
	int64_t hold_ms;
};

/* Asks what an earlier process left; it has ended when this returns. EBUSY: it lives. */
must_check int holder_new(const struct holder_config *c, struct holder **out, struct err *e);
/* What is kept stays kept; what was not taken is the holder's still. NULL is fine. */
void holder_free(struct holder *h);
/* The connection left under this name; the caller owns the descriptors. False: there is none. */
bool holder_take(struct holder *h, const char *name, struct fs_held *out);
/* Keeps it from now on. The descriptors are borrowed until holder_forget(). */
must_check int holder_keep(struct holder *h, const char *name, const struct fs_held *held,
			   struct err *e);
/* Whether it is kept, by holder_keep() or since it was taken. */
bool holder_keeps(const struct holder *h, const char *name);
/* Nobody keeps it any more when this returns. */
void holder_forget(struct holder *h, const char *name);
/* All mounts are made: nobody keeps any more what was left and not taken. */
void holder_settle(struct holder *h);
/* Now and then: starts another holder process when somebody has killed it. */
void holder_tend(struct holder *h);

#endif
