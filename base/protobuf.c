/* Tags, varints, lengths. */
#include "base/protobuf.h"

#include <string.h>

enum wire_type { VARINT = 0, FIXED64 = 1, LENGTH = 2 };

static void put_varint(struct buf *b, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;

	do {
		bytes[n] = (uint8_t)(value & 0x7f);
		value >>= 7;
		if (value)
			bytes[n] |= 0x80;
		n++;
	} while (value);
	buf_append(b, bytes, n);
}

static void put_tag(struct buf *b, unsigned field, enum wire_type type)
{
	put_varint(b, (uint64_t)field << 3 | type);
}

void protobuf_put_number(struct buf *b, unsigned field, uint64_t value)
{
	put_tag(b, field, VARINT);
	put_varint(b, value);
}

void protobuf_put_fixed64(struct buf *b, unsigned field, uint64_t value)
{
	uint8_t bytes[8];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	put_tag(b, field, FIXED64);
	buf_append(b, bytes, sizeof(bytes));
}

void protobuf_put_bytes(struct buf *b, unsigned field, const void *data, size_t len)
{
	put_tag(b, field, LENGTH);
	put_varint(b, len);
	buf_append(b, data, len);
}

void protobuf_put_text(struct buf *b, unsigned field, const char *text)
{
	protobuf_put_bytes(b, field, text, strlen(text));
}
