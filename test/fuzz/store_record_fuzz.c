/* The record's parsers on arbitrary bytes, as they are and with their checksums set right; what is
 * accepted must survive being written and read again. The input is one record of task 000... */
#include "base/digest.h"
#include "base/mem.h"
#include "daemon/store_record.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

static const char id[] = "0000000000000000000000000000000000000000000000000000000000000000";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void set32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

static void same(const char *a, const char *b)
{
	assert(!a == !b && (!a || strcmp(a, b) == 0));
}

static void head(const uint8_t *data, size_t size, struct store_meta *m)
{
	cleanup(free_at) char *again = NULL;
	struct store_meta n;
	size_t len, table;
	struct err e;
	int r;

	if (store_head_parse(data, size, id, m, &e) < 0)
		return;
	assert(store_record_table(data, &table, &e) == 0);
	assert(m->geometry.piece_count <= STORE_PIECE_COUNT_MAX);
	r = store_head_print(m, &again, &len, &e);
	if (r < 0) {
		assert(r == -E2BIG);
		return;
	}
	assert(store_head_parse(again, len, id, &n, &e) == 0);
	assert(memcmp(&m->geometry, &n.geometry, sizeof(n.geometry)) == 0);
	assert(m->created_ms == n.created_ms && strcmp(m->id, n.id) == 0);
	same(m->url, n.url);
	same(m->digest, n.digest);
	same(m->tag, n.tag);
	same(m->application, n.application);
	same(m->headers, n.headers);
	store_meta_release(&n);
}

static void place(const uint8_t *data, uint32_t index, uint32_t length)
{
	unsigned char again[STORE_PLACE_SIZE];
	struct store_entry a = {0}, b = {0};

	if (store_entry_parse(data, id, index, length, &a) != STORE_PLACE_TAKEN)
		return;
	assert(a.index == index && a.length == length && a.source <= STORE_FROM_PEER);
	store_entry_print(&a, id, again);
	assert(store_entry_parse(again, id, index, length, &b) == STORE_PLACE_TAKEN);
	assert(a.crc32 == b.crc32 && a.xxh3 == b.xxh3 && a.epoch == b.epoch);
	assert(a.time_ms == b.time_ms && a.cost_ms == b.cost_ms);
}

static void record(const uint8_t *data, size_t size)
{
	struct store_meta m = {0};
	size_t table;
	struct err e;

	head(data, size, &m);
	if (size >= STORE_PREFIX_SIZE && store_record_table(data, &table, &e) == 0) {
		for (uint32_t i = 0; table + STORE_PLACE_SIZE <= size; i++) {
			bool is_piece = i < m.geometry.piece_count;

			place(data + table, i, is_piece ? geometry_length(&m.geometry, i) : 0);
			table += STORE_PLACE_SIZE;
		}
	}
	store_meta_release(&m);
}

/* Sets magic, version and checksums so that what they guard is reached. */
static void set_right(uint8_t *data, size_t size)
{
	size_t table, json_len;
	struct err e;

	memcpy(data, "SKIMREC\n", 8);
	set32(data + 8, 1);
	if (store_record_table(data, &table, &e) < 0)
		return;
	json_len = data[12] | (size_t)data[13] << 8 | (size_t)data[14] << 16;
	if (json_len <= size - STORE_PREFIX_SIZE)
		set32(data + 16,
		      crc32_update(crc32_update(0, data, 16), data + STORE_PREFIX_SIZE, json_len));
	for (; table + STORE_PLACE_SIZE <= size; table += STORE_PLACE_SIZE)
		set32(data + table + 60,
		      crc32_update(crc32_update(0, id, STORE_ID_LEN), data + table, 60));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(free_at) uint8_t *copy = mem_dup(data, size);

	record(data, size);
	if (size >= STORE_PREFIX_SIZE) {
		set_right(copy, size);
		record(copy, size);
	}
	return 0;
}
