/* A piece as a message (piece_message.h). */
#include "daemon/piece_message.h"

#include "proto/message.h"

void piece_message_fill(struct piece_message *m, uint32_t number, uint64_t offset,
			const struct store_piece *p, const char *parent_id)
{
	common__v2__piece__init(&m->piece);
	snprintf(m->digest, sizeof(m->digest), "crc32:%u", p->crc32);
	message_duration(&m->cost, p->cost_ms);
	message_timestamp(&m->created_at, p->created_s * 1000);
	m->piece.number = number;
	m->piece.offset = offset;
	m->piece.length = p->length;
	m->piece.digest = m->digest;
	m->piece.cost = &m->cost;
	m->piece.created_at = &m->created_at;
	if (parent_id)
		message_set(&m->piece, parent_id, COMMON__V2__PIECE__PARENT_ID__PARENT_ID,
			    (char *)parent_id);
	message_set(&m->piece, traffic_type, COMMON__V2__PIECE__TRAFFIC_TYPE__TRAFFIC_TYPE,
		    p->source == STORE_FROM_PEER ? COMMON__V2__TRAFFIC_TYPE__REMOTE_PEER
						 : COMMON__V2__TRAFFIC_TYPE__BACK_TO_SOURCE);
}
