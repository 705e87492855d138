/*
 * Inflates a stream of gzip members, zstd frames or plain bytes, and on the way finds places where
 * inflating can begin again: between two deflate blocks (with the 32 KiB before them), at the start
 * of a member or of a frame. A zstd frame has no such place inside.
 */
#ifndef FS_LAYER_INFLATE_H
#define FS_LAYER_INFLATE_H

#include "base/err.h"
#include "fs/layer/info.h"

#include <stdbool.h>

#define INFLATE_WINDOW_LEN 32768

struct inflate_place {
	uint64_t in_offset, out_offset;
	uint8_t bit_count; /* bits of the byte before in_offset that belong to what follows */
	bool fresh;	   /* a member or frame starts here: no window */
	const unsigned char *window; /* the bytes before out_offset, */
	size_t window_len;	     /* INFLATE_WINDOW_LEN or what there is */
};

struct inflate_sink {
	/* Inflated bytes, in order. A negative result ends the inflating with that error. */
	int (*bytes)(void *arg, const void *data, size_t len, struct err *e);
	/* A place about every span_len bytes, the first at 0; NULL = none are wanted. */
	int (*place)(void *arg, const struct inflate_place *place, struct err *e);
	void *arg;
	uint64_t span_len;
};

struct inflate;

/* From the first byte of a blob; what it is tell its first bytes. The sink is copied. */
struct inflate *inflate_new(const struct inflate_sink *sink);
/* From a place; the next byte to be fed is in_offset's, or the one before if bit_count is not 0. */
must_check int inflate_new_at(const struct inflate_sink *sink, enum layer_compression compression,
			      const struct inflate_place *place, struct inflate **out,
			      struct err *e);
void inflate_free(struct inflate *f);

static inline void inflate_free_at(struct inflate **f)
{
	inflate_free(*f);
	*f = NULL;
}

/* EBADMSG: the stream is broken. After an error only inflate_free() may be called. */
must_check int inflate_feed(struct inflate *f, const void *data, size_t len, struct err *e);
/* No more bytes: EBADMSG unless the last member or frame is whole. */
must_check int inflate_end(struct inflate *f, struct err *e);
/* After the first bytes, or the end. */
enum layer_compression inflate_compression(const struct inflate *f);

#endif
