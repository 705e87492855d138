/* A piece as a common.v2.Piece message, as Dragonfly's validators want it. */
#ifndef DAEMON_PIECE_MESSAGE_H
#define DAEMON_PIECE_MESSAGE_H

#include "daemon/store.h"

#include "common_v2.pb-c.h"

/* The message and what it points to; nothing is allocated. Must not be copied or moved. */
struct piece_message {
	Common__V2__Piece piece;
	Google__Protobuf__Duration cost;
	Google__Protobuf__Timestamp created_at;
	char digest[24];
};

/* parent_id: whom it came from, borrowed; NULL = the origin, or not to be told. */
void piece_message_fill(struct piece_message *m, uint32_t number, uint64_t offset,
			const struct store_piece *p, const char *parent_id);

#endif
