/*
 * The lazy layers of this node: which are here, how another comes here. An index is a task of its
 * own (layers_index_name()); it is fetched from peers only, because its origin is whoever built it
 * (layer_build.h).
 *
 * Where a layer is here, its index is in the directory and nothing of it needs the network before
 * its first unread byte does. Thread-safe.
 */
#ifndef DAEMON_LAYERS_H
#define DAEMON_LAYERS_H

#include "base/config.h"
#include "daemon/layer.h"

struct layers;
struct task;

struct vouched;

struct layer_wish {
	const char *digest;   /* 64 hex; or the id of one that is here (info.h) */
	const char *image;    /* where the registry has it, "registry:5000/library/debian:12"; NULL
				 = what is known of the digest */
	const char *manifest; /* of the image, 64 hex; NULL = not told: a table of contents of the
				 layer's own is not believed then */
};

struct layers_config {
	struct tasks *tasks; /* borrowed; freed after the layers */
	const char *dir;
	const struct config_strings *plain_http; /* as registry_base.h; borrowed */
	uint64_t span_len_max;			 /* more to inflate for a byte: not lazy */
	int64_t quiet_ms; /* no layer has been read for so long: they are completed; at the latest
			     after 12 times that */
	int64_t spare_ms; /* wanted since: not removed, who asked is about to mount it */
	int64_t ttl_ms;	  /* not wanted for so long: removed; 0 = never */
	/* What the wish's image says of the layer's own table, as vouch_find(); NULL = nothing
	 * ever.
	 */
	int (*vouch)(void *arg, const struct layer_wish *w, struct vouched *out, struct err *e);
	void *arg;
	struct store *store; /* has room to give when the disk is full; NULL = none; borrowed */
};

/* Makes the directory, opens what is in it, removes what belongs to nothing; a broken layer is told
 * of and left out. */
must_check int layers_new(const struct layers_config *c, struct layers **out, struct err *e);
/* Whoever waits for bytes or an index gets ECANCELED, now and later. NULL is fine. */
void layers_stop(struct layers *ls);
/* After everybody who reads; stops what is in the background. Before tasks_free(). NULL is fine. */
void layers_free(struct layers *ls);

/* A layer, from here, by its own table of contents, or by an index of the cluster; a reference.
 * Blocks, at most some 20 s, and as long as reading a table takes. ENOENT: nobody in the cluster
 * knows its index; ENOTSUP: it cannot be lazy; EBADMSG: the index or the layer is broken. */
must_check int layers_get(struct layers *ls, const struct layer_wish *w, struct layer **out,
			  struct err *e);
/* It is here by this id. Never blocks. */
bool layers_has(struct layers *ls, const char *id);
/* It, if it is here; a reference, or NULL. Never blocks. */
struct layer *layers_find(struct layers *ls, const char *id);
/* One with this digest, by whatever id; the same. */
struct layer *layers_find_any(struct layers *ls, const char *digest);
/* The one with this diff id, if it is here; a reference, or NULL. Never blocks. */
struct layer *layers_find_diff(struct layers *ls, const char *diff_id);
/* Calls fn with each diff id; a lock is held. */
void layers_each_diff(struct layers *ls, void (*fn)(void *arg, const char *diff_id), void *arg);
/* The same with each id. */
void layers_each_id(struct layers *ls, void (*fn)(void *arg, const char *id), void *arg);
/* Of those only that are laid out by their own table: what is read of them is not what a diff id
 * says. */
void layers_each_toc(struct layers *ls, void (*fn)(void *arg, const char *id), void *arg);

/* What they take on disk. */
uint64_t layers_bytes(struct layers *ls);
/* Removes what has not been wanted for long, and of the rest, least recently used first, so many
 * bytes; nothing that is mounted or open. Returns the bytes that went. Blocks on the disk. */
uint64_t layers_gc(struct layers *ls, uint64_t bytes);

/* What the id of an index's task is made of; the caller frees. */
char *layers_index_name(const char *digest);
/* What came as that task is no index of the layer: it is told of in the log, and not kept here. */
void layers_forget_index(struct tasks *ts, const struct task *t, const char *digest,
			 const struct err *why);

#endif
