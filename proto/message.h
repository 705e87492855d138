/* Small helps with the generated messages, and the one bounded way to unpack one. */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include "base/cleanup.h"

#include <google/protobuf/duration.pb-c.h>
#include <google/protobuf/timestamp.pb-c.h>
#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

/* Fields that are "optional" on the wire are oneofs of one (see common_v2.proto): */
/* the pointer, or NULL if absent */
#define message_text(msg, field) ((msg)->field##__case ? (const char *)(msg)->field : NULL)
/* the number, or what to take if absent */
#define message_number(msg, field, otherwise) ((msg)->field##__case ? (msg)->field : (otherwise))
/* message_set(&download, digest, COMMON__V2__DOWNLOAD__DIGEST__DIGEST, text); a string stays the
 * caller's. */
#define message_set(msg, field, which, value)                                                      \
	do {                                                                                       \
		(msg)->field##__case = (which);                                                    \
		(msg)->field = (value);                                                            \
	} while (0)

/* Initialise *out; wall_ms is clock_wall_ms()'s. */
void message_timestamp(Google__Protobuf__Timestamp *out, int64_t wall_ms);
void message_duration(Google__Protobuf__Duration *out, int64_t ms);
/* Milliseconds, 0 for NULL. A foreign value that does not fit is cut to the nearest that does. */
int64_t message_timestamp_ms(const Google__Protobuf__Timestamp *t);
int64_t message_duration_ms(const Google__Protobuf__Duration *d);

/* The value of a key in a map<string, string>, or NULL:
 *	message_map_get(msg->request_header, msg->n_request_header, "range") */
#define message_map_get(entries, count, key)                                                       \
	message_map_find((const void *const *)(entries), count, key)
const char *message_map_find(const void *const *entries, size_t count, const char *key);

/* Like protobuf_c_message_unpack(), and NULL also for what is nested more than 16 deep or would
 * take more memory than a message of that length has a right to (protobuf-c bounds neither). Free
 * it with protobuf_c_message_free_unpacked(msg, NULL). */
must_check ProtobufCMessage *message_unpack(const ProtobufCMessageDescriptor *type,
					    const void *data, size_t len);

#endif
