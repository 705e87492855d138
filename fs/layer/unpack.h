/*
 * Reads the uncompressed layer at random: inflates from the nearest checkpoint and hands over whole
 * blocks, each compared with the index's digest before. So wrong bytes never come out, whatever
 * was done to the compressed ones.
 */
#ifndef FS_LAYER_UNPACK_H
#define FS_LAYER_UNPACK_H

#include "fs/layer/index.h"

/* Where reading on from offset best ends: what is inflated on the way costs nothing then. */
uint64_t unpack_span_end(const struct layer_index *ix, uint64_t offset);

struct unpack_plan {
	uint64_t in_offset; /* compressed bytes that will be read, at most: */
	uint64_t in_len;
	uint64_t out_offset; /* uncompressed bytes that will be handed over: whole blocks, */
	uint64_t out_len;    /* the wanted ones among them */
};

/* What reading [offset, offset + len) takes; the extent must be inside the layer (EINVAL). */
must_check int unpack_plan(const struct layer_index *ix, uint64_t offset, uint64_t len,
			   struct unpack_plan *out, struct err *e);

struct unpack_io {
	/* Compressed bytes: up to len from offset. Returns how many (short is fine), 0 at the
	 * blob's end, or -errno, which ends the reading with that error. May block. */
	ssize_t (*read)(void *arg, uint64_t offset, void *buf, size_t len);
	/* A verified block, whole. In order. A negative result ends the reading with that error. */
	int (*block)(void *arg, uint64_t offset, const void *data, size_t len, struct err *e);
	void *arg;
};

/* Hands over the blocks of the plan for [offset, offset + len), those before offset that come for
 * nothing included. Blocks its caller as long as its reads take; uses some 1.5 MiB of memory.
 * EBADMSG: the compressed bytes are not the layer's. */
/* (Of a layer by table memory for its longest block instead.) */
must_check int unpack_range(const struct layer_index *ix, uint64_t offset, uint64_t len,
			    const struct unpack_io *io, struct err *e);

/* Inflates the whole and compares it with the diff id, whatever the layout; block of io is not
 * called. EBADMSG. */
must_check int unpack_check_diff(const struct layer_index *ix, const struct unpack_io *io,
				 struct err *e);

#endif
