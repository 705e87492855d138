/* The piece protocol's parsers on arbitrary bytes; what is accepted must survive being written and
 * read again. The input is one packet. */
#include "daemon/vortex.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void content(const uint8_t *value, size_t len)
{
	struct vortex_content a, b;
	uint8_t packet[VORTEX_PACKET_MAX];
	struct err e;
	size_t n;

	if (vortex_content_read(value, len, &a, &e) < 0)
		return;
	n = vortex_content_write(packet, 1, &a);
	assert(vortex_content_read(packet + VORTEX_HEADER_LEN, n - VORTEX_HEADER_LEN, &b, &e) == 0);
	assert(a.number == b.number && a.offset == b.offset && a.length == b.length);
	assert(a.has_crc32 == b.has_crc32 && (!a.has_crc32 || a.crc32 == b.crc32));
	assert(strcmp(a.parent_id, b.parent_id) == 0 && a.created_at_s == b.created_at_s);
}

static void blocks(const uint8_t *value, size_t len)
{
	struct vortex_content a, b;
	uint8_t packet[VORTEX_PACKET_MAX];
	struct err e;
	size_t n;

	if (vortex_blocks_read(value, len, &a, &e) < 0)
		return;
	n = vortex_content_write(packet, 1, &a);
	assert(packet[1] == VORTEX_BLOCKS_CONTENT);
	assert(vortex_blocks_read(packet + VORTEX_HEADER_LEN, n - VORTEX_HEADER_LEN, &b, &e) == 0);
	assert(memcmp(&a.blocks, &b.blocks, sizeof(a.blocks)) == 0 && a.length == b.length);
	assert(a.blocks.first < a.blocks.count && a.blocks.count <= VORTEX_BLOCKS_MAX);
}

static void request(const uint8_t *value, size_t len)
{
	struct vortex_request rq;
	uint8_t packet[VORTEX_REQUEST_MAX];
	struct err e;

	if (vortex_request_read(value, len, &rq, &e) < 0)
		return;
	assert(vortex_request_write(packet, 1, &rq) == VORTEX_HEADER_LEN + len);
	assert(memcmp(packet + VORTEX_HEADER_LEN, value, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vortex_header h;
	struct vortex_error error;
	struct err e;

	if (size < VORTEX_HEADER_LEN)
		return 0;
	vortex_header_read(data, &h);
	data += VORTEX_HEADER_LEN;
	size -= VORTEX_HEADER_LEN;
	if (vortex_request_value_len(h.tag) > 0)
		request(data, size);
	else if (h.tag == VORTEX_BLOCKS_CONTENT)
		blocks(data, size);
	else if (h.tag == VORTEX_ERROR && vortex_error_read(data, size, &error, &e) == 0)
		assert(strlen(error.message) < sizeof(error.message));
	else
		content(data, size);
	return 0;
}
