/*
 * Snapshots as overlayfs wants them, below one directory. The fs of a lazy layer is a mount of
 * EROFS (lazy.h); for overlayfs it is a lower directory like any other.
 *
 *	<root>/metadata.db		the rows (state.h)
 *	<root>/snapshots/<id>/fs	what the snapshot itself holds
 *	<root>/snapshots/<id>/work	overlayfs' own, of an active one
 *
 * Functions may block on the disk; any thread. Errors are state.h's, and the system's own.
 */
#ifndef CONTRIB_CONTAINERD_SNAPSHOTS_H
#define CONTRIB_CONTAINERD_SNAPSHOTS_H

#include "contrib/containerd/state.h"

struct snapshots;
struct lazy;

/* One mount that shows a snapshot. */
struct mount_plan {
	const char *type;
	char *source;
	char **options;
	size_t option_count;
};

void mount_plan_release(struct mount_plan *m);

/* Makes the directory, opens the rows, removes what a crash left. lazy is borrowed. */
must_check int snapshots_open(const char *root, struct lazy *lazy, struct snapshots **out,
			      struct err *e);
void snapshots_close(struct snapshots *s);

/* A view or an active snapshot; name, parent, kind and labels of *snap are read. EEXIST also says
 * that the layer which its labels tell of is a committed snapshot now, and needs no unpacking. */
must_check int snapshots_prepare(struct snapshots *s, struct snapshot *snap, struct mount_plan *out,
				 struct err *e);
must_check int snapshots_mounts(struct snapshots *s, const char *key, struct mount_plan *out,
				struct err *e);
/* The directory goes away later, in the background. */
must_check int snapshots_remove(struct snapshots *s, const char *key, struct err *e);
/* Of the snapshot alone, without its parents. A committed one is counted once. */
must_check int snapshots_usage(struct snapshots *s, const char *key, int64_t *size_out,
			       int64_t *inodes_out, struct err *e);
/* Begins to remove directories that are not needed any more. */
void snapshots_sweep(struct snapshots *s);
/* For what needs the rows alone. */
struct state *snapshots_state(struct snapshots *s);

#endif
