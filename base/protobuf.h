/*
 * Writing protobuf messages by hand, for the few that are written and never read (spans, profiles).
 * Fields go out in the order of the calls, and always, also when they are 0. Source: the protobuf
 * encoding guide.
 */
#ifndef BASE_PROTOBUF_H
#define BASE_PROTOBUF_H

#include "base/buf.h"

void protobuf_put_number(struct buf *b, unsigned field, uint64_t value); /* varint */
void protobuf_put_fixed64(struct buf *b, unsigned field, uint64_t value);
/* bytes, and messages that were written before. */
void protobuf_put_bytes(struct buf *b, unsigned field, const void *data, size_t len);
void protobuf_put_text(struct buf *b, unsigned field, const char *text);

#endif
