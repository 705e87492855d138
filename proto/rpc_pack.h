/* Messages <-> gRPC core's byte buffers. */
#ifndef PROTO_RPC_PACK_H
#define PROTO_RPC_PACK_H

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>

grpc_byte_buffer *rpc_pack(const ProtobufCMessage *msg);
/* Takes the bytes; NULL if they are no such message within message_unpack()'s bounds. */
ProtobufCMessage *rpc_unpack(const ProtobufCMessageDescriptor *type, grpc_byte_buffer *bytes);

#endif
