/*
 * The TCP piece protocol: packets as bytes (facts in vortex.h).
 *
 * PieceContent's value:
 *	4 metadata length (what comes after this field), 4 number, 8 offset, 8 length,
 *	4+n digest "crc32:<decimal>", 4+n parent id, 1 traffic type, 8 cost in seconds,
 *	8 created at in seconds since 1970, signed; by blocks, what vortex.h says.
 */
#include "daemon/vortex.h"

#include "base/digest.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes still to be read; bad is set by the first read past the end and stays. */
struct reader {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *at = r->at;

	if (r->bad || r->left < n) {
		r->bad = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return at;
}

static uint64_t take_int(struct reader *r, unsigned bytes)
{
	const uint8_t *at = take(r, bytes);
	uint64_t v = 0;

	for (unsigned i = 0; at && i < bytes; i++)
		v = v << 8 | at[i];
	return v;
}

/* A text with a length of 4 bytes before it. */
static const uint8_t *take_text(struct reader *r, size_t *len_out)
{
	*len_out = (size_t)take_int(r, 4);
	return take(r, *len_out);
}

static uint8_t *put_int(uint8_t *out, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	return out + bytes;
}

static uint8_t *put_text(uint8_t *out, const char *text, size_t len)
{
	out = put_int(out, len, 4);
	memcpy(out, text, len);
	return out + len;
}

/* Fills in the header of a packet whose value ends at end; returns the packet's length. */
static size_t put_header(uint8_t *out, uint8_t id, enum vortex_tag tag, const uint8_t *end)
{
	size_t len = (size_t)(end - out);

	assert(len <= VORTEX_PACKET_MAX);
	out[0] = id;
	out[1] = (uint8_t)tag;
	put_int(out + 2, len - VORTEX_HEADER_LEN, 4);
	return len;
}

uint32_t vortex_request_value_len(uint8_t tag)
{
	switch (tag) {
	case VORTEX_DOWNLOAD_PIECE:
	case VORTEX_DOWNLOAD_PERSISTENT_PIECE:
	case VORTEX_DOWNLOAD_PERSISTENT_CACHE_PIECE:
	case VORTEX_DOWNLOAD_CACHE_PIECE:
		return VORTEX_REQUEST_VALUE_LEN;
	case VORTEX_DOWNLOAD_BLOCKS:
		return VORTEX_REQUEST_VALUE_LEN + 1;
	default:
		return 0;
	}
}

void vortex_header_read(const uint8_t in[VORTEX_HEADER_LEN], struct vortex_header *out)
{
	struct reader r = {.at = in, .left = VORTEX_HEADER_LEN};

	out->id = (uint8_t)take_int(&r, 1);
	out->tag = (uint8_t)take_int(&r, 1);
	out->length = (uint32_t)take_int(&r, 4);
}

size_t vortex_request_write(uint8_t out[VORTEX_REQUEST_MAX], uint8_t id,
			    const struct vortex_request *rq)
{
	uint8_t *at = out + VORTEX_HEADER_LEN;

	memcpy(at, rq->task_id, 64);
	at = put_int(at + 64, rq->number, 4);
	if (!rq->by_blocks)
		return put_header(out, id, VORTEX_DOWNLOAD_PIECE, at);
	at = put_int(at, rq->first_block, 1);
	return put_header(out, id, VORTEX_DOWNLOAD_BLOCKS, at);
}

int vortex_request_read(const uint8_t *value, size_t len, struct vortex_request *out, struct err *e)
{
	struct reader r = {.at = value, .left = len};

	if (len != VORTEX_REQUEST_VALUE_LEN && len != VORTEX_REQUEST_VALUE_LEN + 1)
		return err_set(e, EPROTO, "a piece request of %zu bytes", len);
	memcpy(out->task_id, take(&r, 64), 64);
	out->task_id[64] = 0;
	out->number = (uint32_t)take_int(&r, 4);
	out->by_blocks = len > VORTEX_REQUEST_VALUE_LEN;
	out->first_block = out->by_blocks ? (uint8_t)take_int(&r, 1) : 0;
	if (!digest_is_hex64(out->task_id))
		return err_set(e, EPROTO, "a task id that is not 64 hex digits");
	return 0;
}

static uint8_t *put_blocks(uint8_t *at, const struct vortex_blocks *b)
{
	at = put_int(at, b->first, 1);
	at = put_int(at, b->count, 1);
	at = put_int(at, b->coming, 1);
	at = put_int(at, b->length, 4);
	for (unsigned i = 0; i < b->count; i++)
		at = put_int(at, b->crc32[i], 4);
	return at;
}

size_t vortex_content_write(uint8_t out[VORTEX_PACKET_MAX], uint8_t id,
			    const struct vortex_content *c)
{
	uint8_t *meta = out + VORTEX_HEADER_LEN + 4, *at = meta;
	char digest[24] = "";

	if (c->has_crc32)
		snprintf(digest, sizeof(digest), "crc32:%u", c->crc32);
	at = put_int(at, c->number, 4);
	at = put_int(at, c->offset, 8);
	at = put_int(at, c->length, 8);
	at = put_text(at, digest, strlen(digest));
	at = put_text(at, c->parent_id, strnlen(c->parent_id, sizeof(c->parent_id) - 1));
	at = put_int(at, c->traffic_type, 1);
	at = put_int(at, c->cost_s, 8);
	at = put_int(at, (uint64_t)c->created_at_s, 8);
	if (c->blocks.count > 0)
		at = put_blocks(at, &c->blocks);
	put_int(out + VORTEX_HEADER_LEN, (uint64_t)(at - meta), 4);
	return put_header(out, id,
			  c->blocks.count > 0 ? VORTEX_BLOCKS_CONTENT : VORTEX_PIECE_CONTENT, at);
}

/* "crc32:<decimal>": true. Another digest is none that we know: false. */
static bool parse_crc32(const uint8_t *text, size_t len, uint32_t *out)
{
	static const char prefix[] = "crc32:";
	const size_t skip = sizeof(prefix) - 1;
	uint64_t v = 0;

	if (len <= skip || len > skip + 10 || memcmp(text, prefix, skip) != 0)
		return false;
	for (size_t i = skip; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(text[i] - '0');
	}
	*out = (uint32_t)v;
	return v <= UINT32_MAX;
}

static bool is_printable(const uint8_t *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return true;
}

static int take_content(struct reader *r, struct vortex_content *out, struct err *e)
{
	const uint8_t *digest, *parent;
	size_t digest_len, parent_len;
	uint64_t meta_len;

	memset(out, 0, sizeof(*out));
	meta_len = take_int(r, 4);
	if (r->bad || meta_len != r->left)
		return err_set(e, EPROTO, "piece metadata of a length that is not the packet's");
	out->number = (uint32_t)take_int(r, 4);
	out->offset = take_int(r, 8);
	out->length = take_int(r, 8);
	digest = take_text(r, &digest_len);
	parent = take_text(r, &parent_len);
	out->traffic_type = (uint8_t)take_int(r, 1);
	out->cost_s = take_int(r, 8);
	out->created_at_s = (int64_t)take_int(r, 8);
	if (r->bad)
		return err_set(e, EPROTO, "piece metadata that ends too early");
	if (parent_len >= sizeof(out->parent_id) || !is_printable(parent, parent_len))
		return err_set(e, EPROTO, "a parent id that is none");
	memcpy(out->parent_id, parent, parent_len);
	out->has_crc32 = parse_crc32(digest, digest_len, &out->crc32);
	return 0;
}

int vortex_content_read(const uint8_t *value, size_t len, struct vortex_content *out, struct err *e)
{
	struct reader r = {.at = value, .left = len};

	return take_content(&r, out, e);
}

int vortex_blocks_read(const uint8_t *value, size_t len, struct vortex_content *out, struct err *e)
{
	struct reader r = {.at = value, .left = len};
	struct vortex_blocks *b = &out->blocks;
	int result = take_content(&r, out, e);

	if (result < 0)
		return result;
	b->first = (uint8_t)take_int(&r, 1);
	b->count = (uint8_t)take_int(&r, 1);
	b->coming = take_int(&r, 1) != 0;
	b->length = (uint32_t)take_int(&r, 4);
	if (r.bad || b->count > VORTEX_BLOCKS_MAX || b->first >= b->count || b->length == 0 ||
	    out->length <= (uint64_t)(b->count - 1) * b->length ||
	    out->length > (uint64_t)b->count * b->length)
		return err_set(e, EPROTO, "blocks that are not those of the piece");
	for (unsigned i = 0; i < b->count; i++)
		b->crc32[i] = (uint32_t)take_int(&r, 4);
	if (r.bad || !out->has_crc32)
		return err_set(e, EPROTO, "blocks without their digests");
	return 0;
}

size_t vortex_error_write(uint8_t out[VORTEX_PACKET_MAX], uint8_t id, enum vortex_code code,
			  const char *message)
{
	size_t len = strnlen(message, VORTEX_VALUE_MAX - 1);
	uint8_t *at = put_int(out + VORTEX_HEADER_LEN, (uint64_t)code, 1);

	memcpy(at, message, len);
	return put_header(out, id, VORTEX_ERROR, at + len);
}

int vortex_error_read(const uint8_t *value, size_t len, struct vortex_error *out, struct err *e)
{
	size_t n;

	if (len < 1)
		return err_set(e, EPROTO, "an error packet without a code");
	out->code = value[0];
	n = len - 1 < sizeof(out->message) - 1 ? len - 1 : sizeof(out->message) - 1;
	for (size_t i = 0; i < n; i++) {
		char c = (char)value[1 + i];
		out->message[i] = c >= ' ' && c <= '~' && c != '"' ? c : '?';
	}
	out->message[n] = 0;
	return 0;
}
