/* One slice per message: packed once, copied nowhere on the way out. */
#include "proto/rpc_pack.h"

#include "proto/message.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

grpc_byte_buffer *rpc_pack(const ProtobufCMessage *msg)
{
	grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(msg));
	grpc_byte_buffer *bytes;

	protobuf_c_message_pack(msg, GRPC_SLICE_START_PTR(slice));
	bytes = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	return bytes;
}

ProtobufCMessage *rpc_unpack(const ProtobufCMessageDescriptor *type, grpc_byte_buffer *bytes)
{
	ProtobufCMessage *msg = NULL;
	grpc_byte_buffer_reader reader;

	if (grpc_byte_buffer_reader_init(&reader, bytes)) {
		grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);

		msg = message_unpack(type, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
		grpc_slice_unref(slice);
		grpc_byte_buffer_reader_destroy(&reader);
	}
	grpc_byte_buffer_destroy(bytes);
	return msg;
}
