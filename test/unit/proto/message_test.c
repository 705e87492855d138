/* The messages' bytes, computed by hand from the wire format's rules; and the helps. */
#include "proto/message.h"

#include "base/mem.h"

#include <common_v2.pb-c.h>
#include <dfdaemon_v2.pb-c.h>
#include <errordetails_v2.pb-c.h>
#include <manager_v2.pb-c.h>
#include <scheduler_v2.pb-c.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
/* after the others, as cmocka demands */
#include <cmocka.h>

/* The message packs to exactly these bytes, and they unpack and pack to the same. */
static void assert_bytes(const ProtobufCMessage *msg, const char *bytes, size_t len)
{
	cleanup(free_at) uint8_t *packed = mem_alloc(protobuf_c_message_get_packed_size(msg) + 1);
	ProtobufCMessage *back;

	assert_int_equal(protobuf_c_message_pack(msg, packed), len);
	assert_memory_equal(packed, bytes, len);
	back = message_unpack(msg->descriptor, bytes, len);
	assert_non_null(back);
	memset(packed, 0, len);
	assert_int_equal(protobuf_c_message_pack(back, packed), len);
	assert_memory_equal(packed, bytes, len);
	protobuf_c_message_free_unpacked(back, NULL);
}

#define assert_packs_to(msg, bytes) assert_bytes(&(msg)->base, bytes, sizeof(bytes) - 1)

static void absent_and_zero_of_an_optional_number_differ(void **state)
{
	Common__V2__Peer peer = COMMON__V2__PEER__INIT;
	Dfdaemon__V2__SyncPiecesResponse piece = DFDAEMON__V2__SYNC_PIECES_RESPONSE__INIT;

	(void)state;
	assert_packs_to(&peer, "");
	message_set(&peer, concurrent_piece_count,
		    COMMON__V2__PEER__CONCURRENT_PIECE_COUNT__CONCURRENT_PIECE_COUNT, 0);
	assert_packs_to(&peer, "\x60\0");
	peer.concurrent_piece_count = 300;
	assert_packs_to(&peer, "\x60\xac\x02");
	piece.number = 1;
	piece.ip = (char *)"::1";
	message_set(&piece, tcp_port, DFDAEMON__V2__SYNC_PIECES_RESPONSE__TCP_PORT__TCP_PORT, 4005);
	assert_packs_to(&piece, "\x08\x01\x22\x03::1\x28\xa5\x1f");
}

static void absent_and_empty_of_an_optional_string_differ(void **state)
{
	Common__V2__Download download = COMMON__V2__DOWNLOAD__INIT;

	(void)state;
	assert_null(message_text(&download, digest));
	message_set(&download, digest, COMMON__V2__DOWNLOAD__DIGEST__DIGEST, (char *)"");
	assert_packs_to(&download, "\x12\0");
	assert_string_equal(message_text(&download, digest), "");
	download.digest = (char *)"sha256:ab";
	assert_packs_to(&download, "\x12\x09sha256:ab");
}

static void optional_bytes_enums_and_bools_keep_their_presence(void **state)
{
	Common__V2__Piece piece = COMMON__V2__PIECE__INIT;
	Common__V2__ObjectStorage storage = COMMON__V2__OBJECT_STORAGE__INIT;

	(void)state;
	message_set(&piece, traffic_type, COMMON__V2__PIECE__TRAFFIC_TYPE__TRAFFIC_TYPE,
		    COMMON__V2__TRAFFIC_TYPE__BACK_TO_SOURCE);
	piece.content__case = COMMON__V2__PIECE__CONTENT__CONTENT;
	piece.content = (ProtobufCBinaryData){.len = 2, .data = (uint8_t *)"\0\xff"};
	assert_packs_to(&piece, "\x32\x02\0\xff\x38\0");
	message_set(&storage, insecure_skip_verify,
		    COMMON__V2__OBJECT_STORAGE__INSECURE_SKIP_VERIFY__INSECURE_SKIP_VERIFY, false);
	assert_packs_to(&storage, "\x48\0");
}

static void plain_fields_are_absent_when_zero(void **state)
{
	Common__V2__PersistentPeer peer = COMMON__V2__PERSISTENT_PEER__INIT;

	(void)state;
	assert_packs_to(&peer, "");
	peer.persistent = true;
	peer.concurrent_piece_count = 4;
	assert_packs_to(&peer, "\x10\x01\x48\x04");
}

static void maps_are_repeated_entries(void **state)
{
	Errordetails__V2__Backend backend = ERRORDETAILS__V2__BACKEND__INIT;
	Errordetails__V2__Backend__HeaderEntry a = ERRORDETAILS__V2__BACKEND__HEADER_ENTRY__INIT;
	Errordetails__V2__Backend__HeaderEntry b = ERRORDETAILS__V2__BACKEND__HEADER_ENTRY__INIT;
	Errordetails__V2__Backend__HeaderEntry *header[] = {&a, &b};

	(void)state;
	a.key = (char *)"k";
	a.value = (char *)"v";
	b.key = (char *)"e";
	backend.message = (char *)"gone";
	backend.header = header;
	backend.n_header = 2;
	message_set(&backend, status_code, ERRORDETAILS__V2__BACKEND__STATUS_CODE__STATUS_CODE,
		    404);
	/* an empty value need not be there; protobuf-c leaves it out, others write it */
	assert_packs_to(&backend, "\x0a\x04gone\x12\x06\x0a\x01k\x12\x01v\x12\x03\x0a\x01"
				  "e\x18\x94\x03");
	assert_string_equal(message_map_get(backend.header, backend.n_header, "k"), "v");
	assert_string_equal(message_map_get(backend.header, backend.n_header, "e"), "");
	assert_null(message_map_get(backend.header, backend.n_header, "x"));
	assert_null(message_map_get(backend.header, 0, "k"));
}

static void oneof_of_messages_has_the_tables_numbers(void **state)
{
	Scheduler__V2__AnnouncePeerRequest req = SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__INIT;
	Scheduler__V2__DownloadPeerStartedRequest started =
		SCHEDULER__V2__DOWNLOAD_PEER_STARTED_REQUEST__INIT;
	Scheduler__V2__DownloadPieceFailedRequest failed =
		SCHEDULER__V2__DOWNLOAD_PIECE_FAILED_REQUEST__INIT;

	(void)state;
	req.host_id = (char *)"h";
	req.task_id = (char *)"t";
	req.peer_id = (char *)"p";
	req.request_case =
		SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_DOWNLOAD_PEER_STARTED_REQUEST;
	req.download_peer_started_request = &started;
	assert_packs_to(&req, "\x0a\x01h\x12\x01t\x1a\x01p\x2a\0");
	message_set(&failed, piece_number,
		    SCHEDULER__V2__DOWNLOAD_PIECE_FAILED_REQUEST__PIECE_NUMBER__PIECE_NUMBER, 0);
	failed.parent_id = (char *)"q";
	failed.temporary = true;
	req.request_case =
		SCHEDULER__V2__ANNOUNCE_PEER_REQUEST__REQUEST_DOWNLOAD_PIECE_FAILED_REQUEST;
	req.download_piece_failed_request = &failed;
	assert_packs_to(&req, "\x0a\x01h\x12\x01t\x1a\x01p\x72\x07\x08\0\x12\x01q\x18\x01");
}

static void repeated_numbers_are_packed(void **state)
{
	Dfdaemon__V2__SyncPiecesRequest req = DFDAEMON__V2__SYNC_PIECES_REQUEST__INIT;
	uint32_t numbers[] = {0, 1, 300};

	(void)state;
	req.interested_piece_numbers = numbers;
	req.n_interested_piece_numbers = 3;
	assert_packs_to(&req, "\x1a\x04\0\x01\xac\x02");
}

static void unknown_fields_survive(void **state)
{
	/* DownloadTaskRequest with a field 99 of a later version */
	static const char bytes[] = "\x0a\x03\x0a\x01u\x9a\x06\x02hi";
	ProtobufCMessage *msg = message_unpack(&dfdaemon__v2__download_task_request__descriptor,
					       bytes, sizeof(bytes) - 1);

	(void)state;
	assert_non_null(msg);
	assert_string_equal(((Dfdaemon__V2__DownloadTaskRequest *)msg)->download->url, "u");
	protobuf_c_message_free_unpacked(msg, NULL);
}

static void times_convert_both_ways(void **state)
{
	static const int64_t values[] = {0, 1, 999, 1000, 1234567, -1, -999, -1000, -1500};
	Google__Protobuf__Timestamp t;
	Google__Protobuf__Duration d;

	(void)state;
	for (size_t i = 0; i < array_len(values); i++) {
		message_timestamp(&t, values[i]);
		assert_in_range(t.nanos, 0, 999999999);
		assert_int_equal(message_timestamp_ms(&t), values[i]);
		message_duration(&d, values[i]);
		assert_int_equal(message_duration_ms(&d), values[i]);
	}
	assert_int_equal(message_timestamp_ms(NULL), 0);
	assert_int_equal(message_duration_ms(NULL), 0);
	message_duration(&d, 1500);
	assert_packs_to(&d, "\x08\x01\x10\x80\xca\xb5\xee\x01");
	d.seconds = INT64_MAX;
	assert_true(message_duration_ms(&d) > INT64_MAX / 1000);
	d.seconds = INT64_MIN;
	assert_true(message_duration_ms(&d) < INT64_MIN / 1000);
}

/* Wraps the bytes so often in SeedPeer.schedulers and Scheduler.seed_peers, which nest without an
 * end; returns the length. */
static size_t nest(uint8_t *out, size_t size, unsigned depth)
{
	size_t at = size;

	for (unsigned i = 0; i < depth; i++) {
		size_t len = size - at;

		/* innermost first, so that the outermost is a SeedPeer's field 12 */
		if (len >= 128) {
			out[--at] = (uint8_t)(len >> 7);
			out[--at] = (uint8_t)(0x80 | (len & 0x7f));
		} else {
			out[--at] = (uint8_t)len;
		}
		out[--at] = (depth - i) % 2 ? 0x62 : 0x52;
	}
	memmove(out, out + at, size - at);
	return size - at;
}

static void deep_nesting_is_refused(void **state)
{
	uint8_t bytes[4096];
	ProtobufCMessage *msg;
	size_t len;

	(void)state;
	len = nest(bytes, sizeof(bytes), 15);
	msg = message_unpack(&manager__v2__seed_peer__descriptor, bytes, len);
	assert_non_null(msg);
	assert_int_equal(((Manager__V2__SeedPeer *)msg)->n_schedulers, 1);
	protobuf_c_message_free_unpacked(msg, NULL);
	len = nest(bytes, sizeof(bytes), 16);
	assert_null(message_unpack(&manager__v2__seed_peer__descriptor, bytes, len));
	len = nest(bytes, sizeof(bytes), 1000);
	assert_null(message_unpack(&manager__v2__seed_peer__descriptor, bytes, len));
}

/* Each empty Host is two bytes on the wire and some two hundred in memory. */
static void greedy_messages_are_refused(void **state)
{
	const size_t count = 1 << 20;
	cleanup(free_at) char *bytes = mem_alloc(count * 2);
	ProtobufCMessage *msg;

	(void)state;
	for (size_t i = 0; i < count; i++)
		bytes[2 * i] = 0x0a;
	assert_null(
		message_unpack(&scheduler__v2__list_hosts_response__descriptor, bytes, count * 2));
	msg = message_unpack(&scheduler__v2__list_hosts_response__descriptor, bytes, 1000);
	assert_non_null(msg);
	assert_int_equal(((Scheduler__V2__ListHostsResponse *)msg)->n_hosts, 500);
	protobuf_c_message_free_unpacked(msg, NULL);
}

static void torn_messages_are_refused(void **state)
{
#define TORN(bytes)                                                                                \
	{                                                                                          \
		bytes, sizeof(bytes) - 1                                                           \
	}
	static const struct {
		const char *bytes;
		size_t len;
	} torn[] = {
		TORN("\x0a"),					  /* no length */
		TORN("\x0a\x05h"),				  /* shorter than it says */
		TORN("\x08"),					  /* no varint */
		TORN("\x82\x80\x80\x80\x80\x80\x80\x80\x80\x80"), /* endless tag */
		TORN("\0\0"),					  /* field 0 */
		TORN("\x80\0\0"),				  /* the same, longer */
		TORN("\x0b\x0c"),				  /* a group */
		TORN("\x09\x01"),				  /* 8 bytes announced */
		TORN("\x0d\x01"),				  /* 4 bytes announced */
		TORN("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
	};

	(void)state;
	for (size_t i = 0; i < array_len(torn); i++)
		assert_null(
			message_unpack(&common__v2__host__descriptor, torn[i].bytes, torn[i].len));
}

static void field_numbers_over_the_limit_are_refused(void **state)
{
	(void)state;
	assert_null(
		message_unpack(&manager__v2__seed_peer__descriptor, "\xe2\x80\x80\x80\x10\0", 6));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absent_and_zero_of_an_optional_number_differ),
		cmocka_unit_test(absent_and_empty_of_an_optional_string_differ),
		cmocka_unit_test(optional_bytes_enums_and_bools_keep_their_presence),
		cmocka_unit_test(plain_fields_are_absent_when_zero),
		cmocka_unit_test(maps_are_repeated_entries),
		cmocka_unit_test(oneof_of_messages_has_the_tables_numbers),
		cmocka_unit_test(repeated_numbers_are_packed),
		cmocka_unit_test(unknown_fields_survive),
		cmocka_unit_test(times_convert_both_ways),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(greedy_messages_are_refused),
		cmocka_unit_test(torn_messages_are_refused),
		cmocka_unit_test(field_numbers_over_the_limit_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
