#include "daemon/vortex.h"

#include "test/unit/unit.h"

#include <errno.h>
#include <string.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void request_has_the_known_bytes(void **state)
{
	struct vortex_request rq = {.task_id = ID, .number = 0x01020304}, back;
	uint8_t packet[VORTEX_REQUEST_MAX];
	struct vortex_header h;
	struct err e;

	(void)state;
	assert_int_equal(vortex_request_write(packet, 7, &rq), 74);
	assert_memory_equal(packet, "\x07\x00\x00\x00\x00\x44" ID "\x01\x02\x03\x04", 74);
	vortex_header_read(packet, &h);
	assert_int_equal(h.id, 7);
	assert_int_equal(h.tag, VORTEX_DOWNLOAD_PIECE);
	assert_int_equal(h.length, 68);
	assert_int_equal(vortex_request_read(packet + 6, 68, &back, &e), 0);
	assert_string_equal(back.task_id, ID);
	assert_int_equal(back.number, 0x01020304);
}

static void a_request_by_blocks_has_its_own_tag(void **state)
{
	struct vortex_request rq = {.task_id = ID,
				    .number = 7,
				    .by_blocks = true,
				    .first_block = 9},
			      back;
	uint8_t packet[VORTEX_REQUEST_MAX];
	struct err e;

	(void)state;
	assert_int_equal(vortex_request_write(packet, 7, &rq), 75);
	assert_memory_equal(packet, "\x07\xc8\x00\x00\x00\x45" ID "\x00\x00\x00\x07\x09", 75);
	assert_int_equal(vortex_request_read(packet + 6, 69, &back, &e), 0);
	assert_true(back.by_blocks && back.first_block == 9 && back.number == 7);
	assert_int_equal(vortex_request_read(packet + 6, 68, &back, &e), 0);
	assert_false(back.by_blocks);
}

static void request_that_is_no_task_id_is_refused(void **state)
{
	uint8_t value[68];
	struct vortex_request rq;
	struct err e;

	(void)state;
	memset(value, 'G', sizeof(value));
	assert_int_equal(vortex_request_read(value, 68, &rq, &e), -EPROTO);
	assert_int_equal(vortex_request_read(value, 67, &rq, &e), -EPROTO);
	assert_int_equal(vortex_request_read(value, 0, &rq, &e), -EPROTO);
	memset(value, '/', sizeof(value));
	assert_int_equal(vortex_request_read(value, 68, &rq, &e), -EPROTO);
}

/* A packet made by hand from the table of the protocol. */
static const uint8_t content_packet[] = "\x2a\x01\x00\x00\x00\x43"
					"\x00\x00\x00\x3f"		   /* metadata length */
					"\x00\x00\x00\x05"		   /* number */
					"\x00\x00\x00\x00\x01\x40\x00\x00" /* offset */
					"\x00\x00\x00\x00\x00\x40\x00\x00" /* length */
					"\x00\x00\x00\x0e"
					"crc32:12345678"
					"\x00\x00\x00\x04"
					"peer"
					"\x01"				   /* remote peer */
					"\x00\x00\x00\x00\x00\x00\x00\x02" /* cost */
					"\x00\x00\x00\x00\x65\x53\xf1\x00" /* created at */;
#define CONTENT_LEN (sizeof(content_packet) - 1)

static void content_has_the_known_bytes(void **state)
{
	struct vortex_content c = {.number = 5,
				   .offset = 20 << 20,
				   .length = 4 << 20,
				   .has_crc32 = true,
				   .crc32 = 12345678,
				   .parent_id = "peer",
				   .traffic_type = 1,
				   .cost_s = 2,
				   .created_at_s = 0x6553f100},
			      back;
	uint8_t packet[VORTEX_PACKET_MAX];
	struct err e;

	(void)state;
	assert_int_equal(vortex_content_write(packet, 42, &c), CONTENT_LEN);
	assert_memory_equal(packet, content_packet, CONTENT_LEN);
	assert_int_equal(vortex_content_read(packet + 6, CONTENT_LEN - 6, &back, &e), 0);
	assert_int_equal(back.number, 5);
	assert_int_equal(back.offset, 20 << 20);
	assert_int_equal(back.length, 4 << 20);
	assert_true(back.has_crc32);
	assert_int_equal(back.crc32, 12345678);
	assert_string_equal(back.parent_id, "peer");
	assert_int_equal(back.created_at_s, 0x6553f100);
}

static void content_cut_anywhere_is_refused(void **state)
{
	uint8_t value[CONTENT_LEN];
	struct vortex_content c;
	struct err e;

	(void)state;
	memcpy(value, content_packet + 6, CONTENT_LEN - 6);
	for (size_t len = 0; len < CONTENT_LEN - 6; len++) {
		assert_int_equal(vortex_content_read(value, len, &c, &e), -EPROTO);
		if (len < 4)
			continue;
		/* The same with a metadata length that fits. */
		value[3] = (uint8_t)(len - 4);
		assert_int_equal(vortex_content_read(value, len, &c, &e), -EPROTO);
		value[3] = 0x3f;
	}
}

static void content_with_lying_text_lengths_is_refused(void **state)
{
	uint8_t value[CONTENT_LEN];
	struct vortex_content c;
	struct err e;

	(void)state;
	memcpy(value, content_packet + 6, CONTENT_LEN - 6);
	memset(value + 24, 0xff, 4);
	assert_int_equal(vortex_content_read(value, CONTENT_LEN - 6, &c, &e), -EPROTO);
	memcpy(value, content_packet + 6, CONTENT_LEN - 6);
	value[46] = '\n';
	assert_int_equal(vortex_content_read(value, CONTENT_LEN - 6, &c, &e), -EPROTO);
}

static void content_with_more_metadata_is_accepted(void **state)
{
	uint8_t value[CONTENT_LEN + 8] = {0};
	struct vortex_content c;
	struct err e;

	(void)state;
	memcpy(value, content_packet + 6, CONTENT_LEN - 6);
	value[3] = 0x3f + 8;
	assert_int_equal(vortex_content_read(value, CONTENT_LEN - 6 + 8, &c, &e), 0);
	assert_int_equal(c.crc32, 12345678);
}

static bool digest_of(const char *text, uint32_t *crc32)
{
	struct vortex_content c = {.has_crc32 = true, .crc32 = 12345678}, back;
	uint8_t packet[VORTEX_PACKET_MAX];
	size_t len = vortex_content_write(packet, 0, &c);
	struct err e;

	assert_int_equal(strlen(text), 14);
	memcpy(packet + 6 + 28, text, 14);
	assert_int_equal(vortex_content_read(packet + 6, len - 6, &back, &e), 0);
	*crc32 = back.crc32;
	return back.has_crc32;
}

static void digests_of_another_kind_are_none(void **state)
{
	struct vortex_content c = {.has_crc32 = false}, back;
	uint8_t packet[VORTEX_PACKET_MAX];
	uint32_t crc;
	size_t len;
	struct err e;

	(void)state;
	assert_true(digest_of("crc32:00000042", &crc));
	assert_int_equal(crc, 42);
	assert_false(digest_of("crc32:0000004x", &crc));
	assert_false(digest_of("crc64:00000042", &crc));
	len = vortex_content_write(packet, 0, &c);
	assert_int_equal(vortex_content_read(packet + 6, len - 6, &back, &e), 0);
	assert_false(back.has_crc32);
}

static void error_is_cut_and_cleaned(void **state)
{
	uint8_t packet[VORTEX_PACKET_MAX];
	struct vortex_header h;
	struct vortex_error error;
	char text[4096];
	struct err e;
	size_t len;

	(void)state;
	len = vortex_error_write(packet, 3, VORTEX_NOT_FOUND, "no \"such\"\npiece");
	vortex_header_read(packet, &h);
	assert_int_equal(h.tag, VORTEX_ERROR);
	assert_int_equal(h.length, len - 6);
	assert_int_equal(vortex_error_read(packet + 6, len - 6, &error, &e), 0);
	assert_int_equal(error.code, VORTEX_NOT_FOUND);
	assert_string_equal(error.message, "no ?such??piece");

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = 0;
	len = vortex_error_write(packet, 3, VORTEX_INTERNAL, text);
	assert_int_equal(len, VORTEX_PACKET_MAX);
	assert_int_equal(vortex_error_read(packet + 6, len - 6, &error, &e), 0);
	assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
	assert_int_equal(vortex_error_read(packet, 0, &error, &e), -EPROTO);
}

static struct vortex_content content_by_blocks(void)
{
	struct vortex_content c = {
		.number = 5,
		.length = 1000,
		.has_crc32 = true,
		.crc32 = 12345678,
		.blocks = {.count = 10, .first = 3, .coming = true, .length = 111}};

	for (unsigned i = 0; i < 10; i++)
		c.blocks.crc32[i] = 0x01020304u * i;
	return c;
}

static void blocks_are_read_as_they_were_written(void **state)
{
	struct vortex_content c = content_by_blocks(), back;
	uint8_t packet[VORTEX_PACKET_MAX];
	struct err e;
	size_t len;

	(void)state;
	len = vortex_content_write(packet, 42, &c);
	assert_int_equal(packet[1], VORTEX_BLOCKS_CONTENT);
	assert_int_equal(vortex_blocks_read(packet + 6, len - 6, &back, &e), 0);
	assert_memory_equal(&back.blocks, &c.blocks, sizeof(c.blocks));
	assert_int_equal(back.crc32, c.crc32);
	for (size_t cut = 6; cut < len; cut++) {
		/* The same with a metadata length that fits. */
		packet[6 + 2] = (uint8_t)((cut - 10) >> 8);
		packet[6 + 3] = (uint8_t)(cut - 10);
		assert_int_equal(vortex_blocks_read(packet + 6, cut - 6, &back, &e), -EPROTO);
	}
}

static void blocks_that_do_not_fit_the_piece_are_refused(void **state)
{
	static const struct {
		uint8_t count, first;
		uint32_t length;
		uint64_t of;
	} bad[] = {{17, 3, 62, 1000},	     {10, 10, 111, 1000},      {10, 255, 111, 1000},
		   {10, 3, 0, 1000},	     {10, 3, 99, 1000},	       {10, 3, 112, 1000},
		   {10, 3, 111, 0},	     {10, 3, 111, UINT64_MAX}, {1, 0, 999, 1000},
		   {16, 0, UINT32_MAX, 1000}};
	uint8_t packet[VORTEX_PACKET_MAX];
	struct vortex_content c, back;
	struct err e;

	(void)state;
	for (unsigned i = 0; i < array_len(bad); i++) {
		size_t len;

		c = content_by_blocks();
		c.length = bad[i].of;
		c.blocks.first = bad[i].first;
		c.blocks.length = bad[i].length;
		c.blocks.count = bad[i].count < 17 ? bad[i].count : 16;
		len = vortex_content_write(packet, 42, &c);
		if (bad[i].count > 16) /* where the count stands */
			packet[len - 16 * 4 - 5] = bad[i].count;
		assert_int_equal(vortex_blocks_read(packet + 6, len - 6, &back, &e), -EPROTO);
	}
	c = content_by_blocks();
	c.has_crc32 = false;
	assert_int_equal(
		vortex_blocks_read(packet + 6, vortex_content_write(packet, 42, &c) - 6, &back, &e),
		-EPROTO);
}

static void all_piece_tags_are_known(void **state)
{
	(void)state;
	for (unsigned tag = 0; tag < 256; tag++)
		assert_int_equal(vortex_request_value_len((uint8_t)tag), tag == 200 ? 69
									 : tag < 8 && tag % 2 == 0
										 ? 68
										 : 0);
	assert_int_not_equal(vortex_kept_id(0x5a), 0x5a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_has_the_known_bytes),
		cmocka_unit_test(a_request_by_blocks_has_its_own_tag),
		cmocka_unit_test(blocks_are_read_as_they_were_written),
		cmocka_unit_test(blocks_that_do_not_fit_the_piece_are_refused),
		cmocka_unit_test(request_that_is_no_task_id_is_refused),
		cmocka_unit_test(content_has_the_known_bytes),
		cmocka_unit_test(content_cut_anywhere_is_refused),
		cmocka_unit_test(content_with_lying_text_lengths_is_refused),
		cmocka_unit_test(content_with_more_metadata_is_accepted),
		cmocka_unit_test(digests_of_another_kind_are_none),
		cmocka_unit_test(error_is_cut_and_cleaned),
		cmocka_unit_test(all_piece_tags_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
