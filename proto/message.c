/* Conversions of the well-known messages, maps, and unpacking with bounds. */
#include "proto/message.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX	16
#define MEMORY_MAX	(128 << 20)
#define MEMORY_PER_BYTE 32	  /* a sparse common.v2.Piece takes 36 */
#define MEMORY_FREE	(1 << 20) /* that any message may take */
#define MS_MAX		(INT64_MAX / 1000)

void message_timestamp(Google__Protobuf__Timestamp *out, int64_t wall_ms)
{
	google__protobuf__timestamp__init(out);
	out->seconds = wall_ms / 1000;
	out->nanos = (int32_t)(wall_ms % 1000) * 1000000;
	if (out->nanos < 0) { /* nanos count forward, before 1970 too */
		out->nanos += 1000000000;
		out->seconds--;
	}
}

void message_duration(Google__Protobuf__Duration *out, int64_t ms)
{
	google__protobuf__duration__init(out);
	out->seconds = ms / 1000;
	out->nanos = (int32_t)(ms % 1000) * 1000000;
}

static int64_t to_ms(int64_t seconds, int32_t nanos)
{
	if (seconds >= MS_MAX)
		return MS_MAX * 1000;
	if (seconds <= -MS_MAX)
		return -MS_MAX * 1000;
	return seconds * 1000 + nanos / 1000000;
}

int64_t message_timestamp_ms(const Google__Protobuf__Timestamp *t)
{
	return t ? to_ms(t->seconds, t->nanos) : 0;
}

int64_t message_duration_ms(const Google__Protobuf__Duration *d)
{
	return d ? to_ms(d->seconds, d->nanos) : 0;
}

/* What protobuf-c generates for an entry of every map<string, string>. */
struct map_entry {
	ProtobufCMessage base;
	char *key;
	char *value;
};

const char *message_map_find(const void *const *entries, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++) {
		const struct map_entry *entry = entries[i];

		if (strcmp(entry->key, key) == 0)
			return entry->value;
	}
	return NULL;
}

/* Reads a varint; false at the end of the bytes or after ten of them. */
static bool take_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; *at < end && shift < 70; shift += 7) {
		uint8_t byte = *(*at)++;

		*out |= (uint64_t)(byte & 0x7f) << (shift > 63 ? 63 : shift);
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* Moves *at behind a field's value and gives its length; false if the bytes end before, or for the
 * groups of old that protobuf-c refuses too. */
static bool take_value(const uint8_t **at, const uint8_t *end, unsigned wire_type, uint64_t *len)
{
	uint64_t number;

	switch (wire_type) {
	case 0:
		*len = 0;
		return take_varint(at, end, &number);
	case 1:
		*len = 8;
		break;
	case 2:
		if (!take_varint(at, end, len))
			return false;
		break;
	case 5:
		*len = 4;
		break;
	default:
		return false;
	}
	if (*len > (uint64_t)(end - *at))
		return false;
	*at += *len;
	return true;
}

/* Whether the bytes can be walked as fields and no message in them lies deeper than depth_max. */
static bool is_shallow(const ProtobufCMessageDescriptor *type, const uint8_t *at, size_t size,
		       int depth_max)
{
	const uint8_t *end = at + size;

	if (depth_max == 0)
		return false;
	while (at < end) {
		const ProtobufCFieldDescriptor *field;
		uint64_t tag, len;

		/* field numbers have 29 bits and begin at 1 */
		if (!take_varint(&at, end, &tag) || tag > UINT32_MAX || tag >> 3 == 0 ||
		    !take_value(&at, end, tag & 7, &len))
			return false;
		if ((tag & 7) != 2)
			continue;
		field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
		if (field && field->type == PROTOBUF_C_TYPE_MESSAGE &&
		    !is_shallow(field->descriptor, at - len, len, depth_max - 1))
			return false;
	}
	return true;
}

/* Takes from the budget that allocator_data points to. */
static void *budget_alloc(void *allocator_data, size_t size)
{
	size_t *left = allocator_data;

	if (size + 16 > *left)
		return NULL;
	*left -= size + 16;
	return malloc(size);
}

static void budget_free(void *allocator_data, void *ptr)
{
	(void)allocator_data;
	free(ptr);
}

ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *type, const void *data,
				 size_t len)
{
	size_t left = len > (MEMORY_MAX - MEMORY_FREE) / MEMORY_PER_BYTE
			      ? MEMORY_MAX
			      : MEMORY_FREE + len * MEMORY_PER_BYTE;
	ProtobufCAllocator allocator = {
		.alloc = budget_alloc, .free = budget_free, .allocator_data = &left};

	if (!is_shallow(type, data, len, DEPTH_MAX))
		return NULL;
	return protobuf_c_message_unpack(type, &allocator, len, data);
}
