/*
 * The TCP piece protocol: packets as bytes. Pure functions, nothing is allocated, everything that
 * comes from a peer is bounded. Source: Dragonfly's vortex protocol 0.1.5.
 *
 * A packet is a header of 6 bytes (id, tag, length of the value; all integers big-endian) and a
 * value. The content of a piece follows its PIECE_CONTENT packet and is not counted by the header.
 *
 * The id of a request is free and Dragonfly never looks at it. A Skimmer server answers with
 * vortex_kept_id() of it, which says: this connection stays open for another request
 * (docs/adr/0002-kept-piece-connections.md). A Skimmer child gives a request that a reader waits
 * for the id VORTEX_URGENT_ID, and no other one (docs/adr/0003-urgent-requests.md).
 *
 * Two of the reserved tags are ours: a request by blocks, and its answer. The value of the request
 * is that of any other and one byte, the block to begin with. The metadata of the answer are those
 * of PIECE_CONTENT, then 1 byte the block that the content begins with, 1 how many blocks there
 * are, 1 whether the piece is still on its way to the sender, 4 the length of a block, and 4 for
 * each block's CRC-32. The content goes from the start of that block to the end of the piece, then
 * from the start of the piece to that block. Who has no CRC-32s of blocks answers with
 * PIECE_CONTENT. Only parents that said in SyncPieces that they know it are asked so
 * (docs/adr/0006-part-of-piece-reads.md, docs/adr/0014-pieces-passed-on-as-they-come.md).
 *
 * Must not know: sockets, stores, tasks.
 */
#ifndef DAEMON_VORTEX_H
#define DAEMON_VORTEX_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum vortex_tag {
	VORTEX_DOWNLOAD_PIECE = 0,
	VORTEX_PIECE_CONTENT = 1,
	VORTEX_DOWNLOAD_PERSISTENT_PIECE = 2,
	VORTEX_PERSISTENT_PIECE_CONTENT = 3,
	VORTEX_DOWNLOAD_PERSISTENT_CACHE_PIECE = 4,
	VORTEX_PERSISTENT_CACHE_PIECE_CONTENT = 5,
	VORTEX_DOWNLOAD_CACHE_PIECE = 6,
	VORTEX_CACHE_PIECE_CONTENT = 7,
	VORTEX_DOWNLOAD_BLOCKS = 200,
	VORTEX_BLOCKS_CONTENT = 201,
	VORTEX_CLOSE = 254,
	VORTEX_ERROR = 255,
};

enum vortex_code {
	VORTEX_UNKNOWN = 0,
	VORTEX_INVALID_ARGUMENT = 1,
	VORTEX_NOT_FOUND = 2,
	VORTEX_INTERNAL = 3,
};

#define VORTEX_URGENT_ID 0x5a

#define VORTEX_HEADER_LEN	 6
#define VORTEX_REQUEST_VALUE_LEN 68
#define VORTEX_REQUEST_LEN	 (VORTEX_HEADER_LEN + VORTEX_REQUEST_VALUE_LEN)
#define VORTEX_REQUEST_MAX	 (VORTEX_REQUEST_LEN + 1) /* by blocks */
#define VORTEX_BLOCKS_MAX	 16
#define VORTEX_VALUE_MAX	 2048 /* no value we accept or send is longer */
#define VORTEX_PACKET_MAX	 (VORTEX_HEADER_LEN + VORTEX_VALUE_MAX)

struct vortex_header {
	uint8_t id, tag;
	uint32_t length; /* of the value; not bounded here */
};

/* Asks for one piece of a task. */
struct vortex_request {
	char task_id[65]; /* 64 lower-case hex digits */
	uint32_t number;
	bool by_blocks;
	uint8_t first_block;
};

/* Of a piece that comes by blocks. */
struct vortex_blocks {
	uint8_t count, first; /* count 0: it comes in order, as one */
	bool coming;	      /* the sender has not got all of it yet, and may not get it */
	uint32_t length;      /* of each but the last */
	uint32_t crc32[VORTEX_BLOCKS_MAX];
};

/* What goes before the content of a piece. */
struct vortex_content {
	uint32_t number;
	uint64_t offset, length;
	bool has_crc32; /* false: no digest, or one of another kind */
	uint32_t crc32;
	char parent_id[256]; /* whom the sender had it from, may be "" */
	uint8_t traffic_type;
	uint64_t cost_s;
	int64_t created_at_s;
	struct vortex_blocks blocks;
};

struct vortex_error {
	uint8_t code;
	char message[192]; /* cut if longer; control characters become '?' */
};

/* The id of the answer to a request of this id when the connection stays open. */
static inline uint8_t vortex_kept_id(uint8_t request_id)
{
	return (uint8_t)~request_id;
}

/* Length of the value of a request of this tag; 0 = the tag asks for no piece. */
uint32_t vortex_request_value_len(uint8_t tag);

void vortex_header_read(const uint8_t in[VORTEX_HEADER_LEN], struct vortex_header *out);

/* Each writes a whole packet, header included, and returns its length. */
size_t vortex_request_write(uint8_t out[VORTEX_REQUEST_MAX], uint8_t id,
			    const struct vortex_request *rq);
size_t vortex_content_write(uint8_t out[VORTEX_PACKET_MAX], uint8_t id,
			    const struct vortex_content *c);
size_t vortex_error_write(uint8_t out[VORTEX_PACKET_MAX], uint8_t id, enum vortex_code code,
			  const char *message);

/* Each reads a value of len bytes (what came after the header). EPROTO with what is wrong. */
must_check int vortex_request_read(const uint8_t *value, size_t len, struct vortex_request *out,
				   struct err *e);
/* Metadata longer than what is known is accepted: a later version may have added to it. */
must_check int vortex_content_read(const uint8_t *value, size_t len, struct vortex_content *out,
				   struct err *e);
/* The same for the answer to a request by blocks. Its numbers fit each other. */
must_check int vortex_blocks_read(const uint8_t *value, size_t len, struct vortex_content *out,
				  struct err *e);
must_check int vortex_error_read(const uint8_t *value, size_t len, struct vortex_error *out,
				 struct err *e);

#endif
