/* Unpacks messages. The first byte chooses the message, the second how much memory protobuf-c gets
 * (message_unpack()'s bound relies on it to give up cleanly). What unpacks, packs, and unpacks and
 * packs to the same bytes again. */
#include "base/mem.h"
#include "proto/message.h"

#include <assert.h>
#include <dfdaemon_v2.pb-c.h>
#include <errordetails_v2.pb-c.h>
#include <manager_v2.pb-c.h>
#include <scheduler_v2.pb-c.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
	&scheduler__v2__announce_peer_request__descriptor,
	&scheduler__v2__announce_peer_response__descriptor,
	&scheduler__v2__announce_host_request__descriptor,
	&scheduler__v2__preheat_image_request__descriptor,
	&dfdaemon__v2__download_task_request__descriptor,
	&dfdaemon__v2__download_task_response__descriptor,
	&dfdaemon__v2__sync_pieces_request__descriptor,
	&manager__v2__list_schedulers_response__descriptor,
	&errordetails__v2__backend__descriptor,
};

static void *stingy_alloc(void *left, size_t size)
{
	if (size > *(size_t *)left)
		return NULL;
	*(size_t *)left -= size;
	return malloc(size);
}

static void stingy_free(void *left, void *ptr)
{
	(void)left;
	free(ptr);
}

static uint8_t *pack(const ProtobufCMessage *msg, size_t *len_out)
{
	uint8_t *packed = mem_alloc(protobuf_c_message_get_packed_size(msg) + 1);

	*len_out = protobuf_c_message_pack(msg, packed);
	assert(*len_out == protobuf_c_message_get_packed_size(msg));
	return packed;
}

static void check_round_trip(const ProtobufCMessage *msg)
{
	cleanup(free_at) uint8_t *first = NULL, *second = NULL;
	size_t first_len, second_len;
	ProtobufCMessage *again;

	first = pack(msg, &first_len);
	again = message_unpack(msg->descriptor, first, first_len);
	assert(again);
	second = pack(again, &second_len);
	assert(first_len == second_len && memcmp(first, second, first_len) == 0);
	protobuf_c_message_free_unpacked(again, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const ProtobufCMessageDescriptor *type;
	ProtobufCMessage *msg;
	size_t left;

	if (size < 2)
		return 0;
	type = types[data[0] % array_len(types)];
	left = (size_t)data[1] * 64;
	msg = message_unpack(type, data + 2, size - 2);
	if (!msg)
		return 0;
	check_round_trip(msg);
	protobuf_c_message_free_unpacked(msg, NULL);
	ProtobufCAllocator stingy = {stingy_alloc, stingy_free, &left};

	msg = protobuf_c_message_unpack(type, &stingy, size - 2, data + 2);
	if (msg)
		protobuf_c_message_free_unpacked(msg, &stingy);
	return 0;
}
