/*
 * The blocks that a start reads (start_record.h) as one file, in the order of their first read.
 * Frames one behind the other, little-endian:
 *
 *   head   PACK_HEAD_LEN bytes: the layer's place in the record's list (4), the block's number
 *          in the layer's index (4), how long what follows is (4)
 *   a zstd frame of the block
 *
 * Nothing in it is believed: who reads it knows from the layers' indexes how long a block is and
 * compares its bytes. Must not know: layers, tasks.
 */
#ifndef DAEMON_PACK_FILE_H
#define DAEMON_PACK_FILE_H

#include "base/digest.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define PACK_HEAD_LEN 12

struct pack_frame {
	uint32_t layer, block, len;
};

struct pack_writer; /* used by one thread */

/* Writes to fd from its beginning; borrowed. */
struct pack_writer *pack_writer_new(int fd);
void pack_writer_free(struct pack_writer *w);

static inline void pack_writer_free_at(struct pack_writer **w)
{
	pack_writer_free(*w);
	*w = NULL;
}

/* Writes a frame; its len is found out. */
must_check int pack_writer_add(struct pack_writer *w, const struct pack_frame *f, const void *data,
			       size_t len, struct err *e);
/* What has been written. */
uint64_t pack_writer_length(const struct pack_writer *w);
/* The sha256 of it; nothing may be written afterwards. */
void pack_writer_digest(struct pack_writer *w, char hex_out[DIGEST_HEX_LEN + 1]);

/* Of any bytes. */
void pack_head_read(const unsigned char in[PACK_HEAD_LEN], struct pack_frame *out);
/* How long the frame of a block of len bytes can be. */
size_t pack_frame_max(size_t len);
/* Unpacks a frame whose block has just out_len bytes. EBADMSG. */
must_check int pack_frame_unpack(const void *data, size_t len, void *out, size_t out_len,
				 struct err *e);

#endif
