/*
 * One layer that is read lazily: the uncompressed tar as a file that fills while it is read.
 *
 *	<dir>/<digest>.idx	the index (fs/layer/index.h): all that is known of the layer
 *	<dir>/<digest>.erofs	the image made of it, to be mounted
 *	<dir>/<digest>.data	the uncompressed tar, sparse: what has been inflated
 *	<dir>/<digest>.done	a second name of .data: it is whole, on disk, has its diff id
 *	<dir>/<digest>.from	a line: the registry and repository it came from
 *	<dir>/<digest>.broken	empty; its bytes or its index were wrong, it is not lazy here now
 *
 * Instead of the digest it is the id, where a layer has another (fs/layer/info.h).
 *
 * A block of .data is believed after it was compared with the index, once in the life of the
 * process, so a crash at any moment does no harm. Its compressed bytes are read through the layer's
 * own task.
 *
 *	a block is	becomes			by
 *	unknown		present, absent		the first read: what an earlier process left
 *	absent		busy			a worker that inflates it
 *	busy		present, absent		that worker; others wait for it
 *
 * Must not know: FUSE, gRPC, how an index comes here.
 */
#ifndef DAEMON_LAYER_H
#define DAEMON_LAYER_H

#include "fs/layer/index.h"

#include <stdbool.h>

struct layer;
struct tasks;

struct layer_place {
	struct tasks *tasks;	    /* borrowed */
	const char *dir;	    /* borrowed */
	const bool *stopping;	    /* atomic */
	int64_t *read_ms;	    /* atomic: when a reader last came, clock_ms() */
	int64_t complete_within_ms; /* of all its compressed bytes in the background */
	/* The disk is full: gets rid of something. False: there is nothing. May block. */
	bool (*make_room)(void *arg, uint64_t need);
	void *arg;
};

/* What is in the place's directory under this id (info.h). ENOENT; EBADMSG: the index is not this
 * layer's. */
must_check int layer_open(const struct layer_place *p, const char *id, struct layer **out,
			  struct err *e);
void layer_ref(struct layer *l);
void layer_unref(struct layer *l);
void layer_unref_at(struct layer **l);

const struct layer_info *layer_info(const struct layer *l);
/* Paths of its files; they live as long as the layer. The second one is there while the layer is
 * complete, and only then. */
const char *layer_erofs_path(const struct layer *l);
const char *layer_whole_path(const struct layer *l);
/* All there and compared with the diff id. */
bool layer_is_complete(const struct layer *l);
/* Its bytes or its index turned out wrong: nothing of it is given out any more. */
bool layer_is_broken(struct layer *l);
/* Of .data: the layer's, up to a whole block of tar. EROFS reads whole blocks, and some builders
 * leave out what pads the last file. */
uint64_t layer_file_len(const struct layer *l);
/* Of .data; only bytes of [off, off + len) that layer_has() or layer_fill() told of. */
int layer_fd(const struct layer *l);
/* Never blocks. */
bool layer_has(struct layer *l, uint64_t off, uint64_t len);
/* Inflates what is missing of [off, off + len), which is inside .data. Blocks on the network.
 * EIO: the layer is broken, and told of in the log; ESTALE: it was removed; ETIMEDOUT,
 * EHOSTUNREACH, ENOSPC. urgent: a reader waits for it. */
must_check int layer_fill(struct layer *l, uint64_t off, uint64_t len, bool urgent, struct err *e);

/* ---- blocks that come otherwise than by inflating; no is less than index_block_count() */

const struct layer_index *layer_index(const struct layer *l);
/* The block, which has its length in the index. ENOENT: it is not here. */
must_check int layer_read_block(struct layer *l, uint64_t no, void *data, struct err *e);
/* True: it is not here, and the caller brings it. Until layer_put_block() or
 * layer_release_block() whoever needs it waits. */
must_check bool layer_claim_block(struct layer *l, uint64_t no);
/* A claimed one is here. EBADMSG: these are not its bytes; it stays claimed then, as with other
 * errors. */
must_check int layer_put_block(struct layer *l, uint64_t no, const void *data, size_t len,
			       struct err *e);
/* A claimed one does not come. */
void layer_release_block(struct layer *l, uint64_t no);

/* A reader has come, whether its bytes are here or not: the place's read_ms says so. */
void layer_read_now(struct layer *l);
/* Fetches, inflates and compares the whole. Blocks for as long as that takes. ESTALE. */
must_check int layer_complete(struct layer *l, struct err *e);

/* ---- when it may go; these look at the disk */

/* An open file of it begins, ends. */
void layer_opened(struct layer *l);
void layer_closed(struct layer *l);
/* It is wanted now. */
void layer_touch(struct layer *l);
/* When it was touched, read or found in use last, clock_wall_ms(); known after a restart as of the
 * last layer_is_in_use(). */
int64_t layer_used_ms(const struct layer *l);
/* What its files take. */
uint64_t layer_bytes(const struct layer *l);
/* Mounted somewhere, by whomever, or open. */
bool layer_is_in_use(struct layer *l);
/* Removes its files, unless it is in use: false. No bytes of it are given out any more. */
bool layer_remove(struct layer *l);

#endif
