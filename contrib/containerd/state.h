/*
 * What the snapshotter knows of its snapshots: rows in an sqlite file that survive a crash and a
 * loss of power, because containerd believes in every snapshot that it was told of.
 *
 *	a snapshot is	made by			becomes
 *	view		create			removed
 *	active		create			committed, removed
 *	committed	commit, or create when	removed (only without children)
 *			it is a lazy layer
 *
 * Every function is one transaction. A directory <id> of a snapshot is there as long as its row:
 * made before the row is, gone after the row became an entry of "removed". That of a lazy layer has
 * nothing in it: it is made whenever something is mounted there.
 *
 * Errors: ENOENT no such snapshot, EEXIST the name is taken, EBUSY it has children, EINVAL its kind
 * does not allow it, EIO the database.
 */
#ifndef CONTRIB_CONTAINERD_STATE_H
#define CONTRIB_CONTAINERD_STATE_H

#include "base/err.h"
#include "contrib/containerd/labels.h"

#include <stdbool.h>
#include <stdint.h>

struct state;

/* The wire's numbers. */
enum snapshot_kind { SNAPSHOT_VIEW = 1, SNAPSHOT_ACTIVE = 2, SNAPSHOT_COMMITTED = 3 };

struct snapshot {
	uint64_t id;	     /* never used twice */
	char *name, *parent; /* parent "" = none */
	enum snapshot_kind kind;
	int64_t created_ms, updated_ms;
	int64_t size, inodes; /* -1 = not counted yet */
	struct labels labels;
	char *lazy; /* a lazy layer's digest, "" = an ordinary snapshot */
};

/* A row and those below it, the uppermost first. */
struct snapshot_chain {
	struct {
		uint64_t id;
		char *lazy;
	} * items;
	size_t count;
};

void snapshot_release(struct snapshot *s);
void snapshot_chain_release(struct snapshot_chain *c);

/* Opens or makes the file; one of a newer program is refused (EPROTO). */
must_check int state_open(const char *path, struct state **out, struct err *e);
void state_close(struct state *st);

/* A new snapshot; name, parent, kind, size, inodes, labels and lazy of *s are read, the id is set.
 * make_dir is called with the id before the row is sure, for an id that may never come to be; NULL
 * = nothing is. */
must_check int state_create(struct state *st, struct snapshot *s,
			    int (*make_dir)(const struct snapshot *s, void *arg, struct err *e),
			    void *arg, struct err *e);
/* An active snapshot gets another name and these labels only. parent "" = the one it has. */
must_check int state_commit(struct state *st, const char *key, const char *name, const char *parent,
			    const struct labels *labels, struct err *e);
must_check int state_remove(struct state *st, const char *key, uint64_t *id_out, struct err *e);
must_check int state_get(struct state *st, const char *key, struct snapshot *out, struct err *e);
must_check int state_set_labels(struct state *st, const char *key, const struct labels *labels,
				struct err *e);
void state_set_usage(struct state *st, uint64_t id, int64_t size, int64_t inodes);
/* From key's own row down to the lowest layer. */
must_check int state_chain(struct state *st, const char *key, struct snapshot_chain *out,
			   struct err *e);
/* All snapshots, or those right above this parent, "" = those without; *out an array of *count_out
 * to be released each and freed. */
must_check int state_all(struct state *st, const char *parent, struct snapshot **out,
			 size_t *count_out, struct err *e);

/* Is there a row of that id? true also when the database does not answer. */
bool state_has(struct state *st, uint64_t id);
/* Ids whose directories have still to go; *out is freed by the caller. */
must_check int state_removed(struct state *st, uint64_t **out, size_t *count_out, struct err *e);
void state_forget_removed(struct state *st, uint64_t id);

#endif
