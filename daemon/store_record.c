/* The record's format. Must not know: files, the store. */
#include "daemon/store_record.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define VERSION 1

static const char magic[8] = {'S', 'K', 'I', 'M', 'R', 'E', 'C', '\n'};

static void put32(void *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

static void put64(void *at, uint64_t v)
{
	v = htole64(v);
	memcpy(at, &v, sizeof(v));
}

static uint32_t get32(const void *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const void *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

static size_t table_after(size_t json_len)
{
	size_t end = STORE_PREFIX_SIZE + json_len;

	return (end + STORE_PLACE_SIZE - 1) / STORE_PLACE_SIZE * STORE_PLACE_SIZE;
}

int store_record_table(const void *prefix, size_t *table_out, struct err *e)
{
	const unsigned char *p = prefix;
	uint32_t version = get32(p + 8);
	uint32_t json_len = get32(p + 12);

	if (memcmp(p, magic, sizeof(magic)) != 0)
		return err_set(e, EBADMSG, "not a record");
	if (version != VERSION)
		return err_set(e, EBADMSG, "record of unknown version %" PRIu32, version);
	if (json_len < 2 || json_len > STORE_HEAD_MAX)
		return err_set(e, EBADMSG, "record with a head of %" PRIu32 " bytes", json_len);
	*table_out = table_after(json_len);
	return 0;
}

size_t store_record_size(size_t table, uint32_t piece_count)
{
	return store_record_blocks(table, piece_count, piece_count);
}

size_t store_record_blocks(size_t table, uint32_t piece_count, uint32_t index)
{
	return table + ((size_t)piece_count + 1 + index) * STORE_PLACE_SIZE;
}

/* Bytes to UTF-8, each byte b as U+00b. */
static void set_text(json_t *obj, const char *key, const char *text)
{
	cleanup(buf_release) struct buf b = BUF_INIT((size_t)2 * STORE_HEAD_MAX);

	if (!text)
		return;
	buf_puts(&b, "");
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		char two[2] = {(char)(0xc0 | *p >> 6), (char)(0x80 | (*p & 0x3f))};

		if (*p < 0x80)
			buf_append(&b, p, 1);
		else
			buf_append(&b, two, 2);
	}
	json_object_set_new(obj, key, json_stringn(b.data, b.len));
}

static size_t text_len(const char *text)
{
	return text ? strlen(text) : 0;
}

/* NULL if absent; false if it holds what set_text() never writes. */
static bool get_text(const json_t *obj, const char *key, char **out)
{
	const json_t *value = json_object_get(obj, key);
	const unsigned char *p;
	char *text, *to;

	*out = NULL;
	if (!value)
		return true;
	if (!json_is_string(value))
		return false;
	p = (const unsigned char *)json_string_value(value);
	to = text = mem_alloc(json_string_length(value) + 1);
	for (; *p; p++) {
		if (*p < 0x80) {
			*to++ = (char)*p;
		} else if ((*p & 0xfe) == 0xc2) { /* U+0080 .. U+00ff: two bytes */
			*to++ = (char)(unsigned char)(*p << 6 | (p[1] & 0x3f));
			p++;
		} else {
			free(text);
			return false;
		}
	}
	*out = text;
	return true;
}

int store_head_print(const struct store_meta *m, char **out, size_t *len_out, struct err *e)
{
	cleanup(json_decref_at) json_t *j = json_object();
	cleanup(free_at) char *text = NULL;
	size_t len, table;
	char *head;

	len = text_len(m->url) + text_len(m->digest) + text_len(m->tag) + text_len(m->application) +
	      text_len(m->headers);
	if (len > STORE_HEAD_MAX)
		return err_set(e, E2BIG, "what is known of task %s takes %zu bytes", m->id, len);
	json_object_set_new(j, "id", json_string(m->id));
	json_object_set_new(j, "content_length",
			    json_integer((json_int_t)m->geometry.content_length));
	json_object_set_new(j, "piece_length", json_integer(m->geometry.piece_length));
	set_text(j, "url", m->url);
	set_text(j, "digest", m->digest);
	set_text(j, "tag", m->tag);
	set_text(j, "application", m->application);
	set_text(j, "headers", m->headers);
	json_object_set_new(j, "created_ms", json_integer(m->created_ms));
	text = json_print(j);
	len = strlen(text);
	if (len > STORE_HEAD_MAX)
		return err_set(e, E2BIG, "what is known of task %s takes %zu bytes", m->id, len);
	table = table_after(len);
	head = mem_alloc(table);
	memcpy(head, magic, sizeof(magic));
	put32(head + 8, VERSION);
	put32(head + 12, (uint32_t)len);
	memcpy(head + STORE_PREFIX_SIZE, text, len);
	put32(head + 16, crc32_update(crc32_update(0, head, 16), text, len));
	*out = head;
	*len_out = table;
	return 0;
}

static int meta_parse(const json_t *j, const char *id, struct store_meta *m, struct err *e)
{
	const char *own = json_str(j, "id"), *hex;
	uint64_t length = json_u64(j, "content_length", UINT64_MAX);
	uint64_t piece_length = json_u64(j, "piece_length", 0);

	if (!own || strcmp(own, id) != 0)
		return err_set(e, EBADMSG, "record of another task");
	if (length > INT64_MAX || piece_length > UINT32_MAX ||
	    !geometry_init(&m->geometry, length, (uint32_t)piece_length) ||
	    m->geometry.piece_count > STORE_PIECE_COUNT_MAX)
		return err_set(e, EBADMSG, "record with an impossible length");
	if (!get_text(j, "url", &m->url) || !get_text(j, "digest", &m->digest) ||
	    !get_text(j, "tag", &m->tag) || !get_text(j, "application", &m->application) ||
	    !get_text(j, "headers", &m->headers))
		return err_set(e, EBADMSG, "record with a text that is none");
	if (m->digest && !digest_is_sha256(m->digest, &hex))
		return err_set(e, EBADMSG, "record with a digest that is none");
	memcpy(m->id, own, STORE_ID_LEN);
	m->created_ms = (int64_t)json_u64(j, "created_ms", 0);
	return 0;
}

int store_head_parse(const void *data, size_t len, const char *id, struct store_meta *out,
		     struct err *e)
{
	cleanup(json_decref_at) json_t *j = NULL;
	const unsigned char *p = data;
	struct err why;
	uint32_t json_len;
	size_t table;
	int r;

	memset(out, 0, sizeof(*out));
	if (len < STORE_PREFIX_SIZE)
		return err_set(e, EBADMSG, "record cut short");
	r = store_record_table(p, &table, e);
	if (r < 0)
		return r;
	json_len = get32(p + 12);
	if (len - STORE_PREFIX_SIZE < json_len)
		return err_set(e, EBADMSG, "record cut short");
	if (crc32_update(crc32_update(0, p, 16), p + STORE_PREFIX_SIZE, json_len) != get32(p + 16))
		return err_set(e, EBADMSG, "record with a damaged head");
	if (json_parse((const char *)p + STORE_PREFIX_SIZE, json_len, STORE_HEAD_MAX, &j, &why) < 0)
		return err_set(e, EBADMSG, "record's head: %s", why.text);
	r = meta_parse(j, id, out, e);
	if (r < 0)
		store_meta_release(out);
	return r;
}

static uint32_t place_crc(const unsigned char *place, const char *id)
{
	return crc32_update(crc32_update(0, id, STORE_ID_LEN), place, 60);
}

void store_entry_print(const struct store_entry *x, const char *id,
		       unsigned char out[STORE_PLACE_SIZE])
{
	memset(out, 0, STORE_PLACE_SIZE);
	put32(out, x->index);
	put32(out + 4, x->length);
	put32(out + 8, x->crc32);
	put32(out + 12, x->cost_ms);
	put64(out + 16, x->xxh3);
	put64(out + 24, x->epoch);
	put64(out + 32, (uint64_t)x->time_ms);
	out[40] = x->source;
	put32(out + 60, place_crc(out, id));
}

static const unsigned char zeros[STORE_PLACE_SIZE];

enum store_place store_entry_parse(const unsigned char place[STORE_PLACE_SIZE], const char *id,
				   uint32_t index, uint32_t length, struct store_entry *out)
{
	if (memcmp(place, zeros, STORE_PLACE_SIZE) == 0)
		return STORE_PLACE_EMPTY;
	*out = (struct store_entry){
		.index = get32(place),
		.length = get32(place + 4),
		.crc32 = get32(place + 8),
		.cost_ms = get32(place + 12),
		.xxh3 = get64(place + 16),
		.epoch = get64(place + 24),
		.time_ms = (int64_t)get64(place + 32),
		.source = place[40],
	};
	if (get32(place + 60) != place_crc(place, id) || out->index != index ||
	    out->length != length || out->source > STORE_FROM_PEER)
		return STORE_PLACE_TORN;
	return STORE_PLACE_TAKEN;
}

_Static_assert(PIECE_BLOCKS * sizeof(uint32_t) == STORE_PLACE_SIZE, "a place holds the blocks");

void store_blocks_print(const uint32_t crc32[PIECE_BLOCKS], unsigned char out[STORE_PLACE_SIZE])
{
	for (unsigned i = 0; i < PIECE_BLOCKS; i++)
		put32(out + i * sizeof(*crc32), crc32[i]);
}

bool store_blocks_parse(const unsigned char place[STORE_PLACE_SIZE], uint32_t block_length,
			uint32_t length, uint32_t crc32, uint32_t out[PIECE_BLOCKS])
{
	if (memcmp(place, zeros, STORE_PLACE_SIZE) == 0)
		return false;
	for (unsigned i = 0; i < PIECE_BLOCKS; i++)
		out[i] = get32(place + i * sizeof(*out));
	return crc32_of_parts(out, block_length, length) == crc32;
}
