/* daemon/store_record: the record as bytes */
#include "test/unit/unit.h"

#include "base/digest.h"
#include "base/mem.h"
#include "daemon/store_record.h"

#include <errno.h>
#include <string.h>

static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static struct store_meta meta(void)
{
	struct store_meta m = {.created_ms = 42};

	memcpy(m.id, id, sizeof(m.id));
	assert_true(geometry_init(&m.geometry, 1000, 300));
	return m;
}

/* A head around any JSON; the caller frees. */
static char *head_of(const char *json, size_t *len_out)
{
	size_t len = strlen(json), size = STORE_PREFIX_SIZE + len;
	char *data = mem_alloc(size);
	uint32_t crc;

	memcpy(data, "SKIMREC\n\1\0\0\0", 12);
	memcpy(data + STORE_PREFIX_SIZE, json, len);
	for (unsigned i = 0; i < 4; i++)
		data[12 + i] = (char)(len >> 8 * i);
	crc = crc32_update(crc32_update(0, data, 16), json, len);
	for (unsigned i = 0; i < 4; i++)
		data[16 + i] = (char)(crc >> 8 * i);
	*len_out = size;
	return data;
}

static int parse(const char *json)
{
	cleanup(free_at) char *data = NULL;
	struct store_meta m;
	struct err e;
	size_t len;
	int r;

	data = head_of(json, &len);
	r = store_head_parse(data, len, id, &m, &e);
	store_meta_release(&m); /* empty after an error */
	return r;
}

static void a_head_is_read_as_it_was_written(void **state)
{
	struct store_meta m = meta(), got;
	cleanup(free_at) char *head = NULL;
	char every[256];
	struct err e;
	size_t len, table;

	(void)state;
	for (unsigned i = 0; i < 255; i++)
		every[i] = (char)(i + 1);
	every[255] = 0;
	m.url = (char *)"http://a/b?c=\"d\"\\";
	m.tag = (char *)"";
	m.headers = every;
	assert_int_equal(store_head_print(&m, &head, &len, &e), 0);
	assert_int_equal(store_record_table(head, &table, &e), 0);
	assert_int_equal(table, len);
	assert_int_equal(table % STORE_PLACE_SIZE, 0);
	assert_int_equal(store_record_size(table, 4), table + 9 * STORE_PLACE_SIZE);
	assert_int_equal(store_record_blocks(table, 4, 1), table + 6 * STORE_PLACE_SIZE);
	assert_int_equal(store_head_parse(head, len, id, &got, &e), 0);
	assert_string_equal(got.id, id);
	assert_memory_equal(&got.geometry, &m.geometry, sizeof(m.geometry));
	assert_string_equal(got.url, m.url);
	assert_null(got.digest);
	assert_string_equal(got.tag, "");
	assert_null(got.application);
	assert_string_equal(got.headers, every);
	assert_int_equal(got.created_ms, 42);
	store_meta_release(&got);
}

static void a_head_has_a_bound(void **state)
{
	struct store_meta m = meta();
	char *head = NULL;
	struct err e;
	size_t len;

	(void)state;
	m.headers = mem_alloc(STORE_HEAD_MAX + 2);
	memset(m.headers, 'x', STORE_HEAD_MAX + 1);
	assert_int_equal(store_head_print(&m, &head, &len, &e), -E2BIG);
	memset(m.headers, 1, STORE_HEAD_MAX / 2); /* six bytes each in JSON */
	m.headers[STORE_HEAD_MAX / 2] = 0;
	assert_int_equal(store_head_print(&m, &head, &len, &e), -E2BIG);
	m.headers[1000] = 0;
	assert_int_equal(store_head_print(&m, &head, &len, &e), 0);
	free(head);
	free(m.headers);
}

#define ID	"\"id\":\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\""
#define LENGTHS "\"content_length\":1000,\"piece_length\":300"

static void nonsense_in_a_head_is_refused(void **state)
{
	static const char *const wrong[] = {
		"[]",
		"{}",
		"{",
		"{" LENGTHS "}",
		"{\"id\":1," LENGTHS "}",
		"{\"id\":\"0123\"," LENGTHS "}",
		"{" ID "}",
		"{" ID ",\"content_length\":-1,\"piece_length\":300}",
		"{" ID ",\"content_length\":\"1\",\"piece_length\":300}",
		"{" ID ",\"content_length\":1,\"piece_length\":0}",
		"{" ID ",\"content_length\":1,\"piece_length\":4294967296}",
		"{" ID ",\"content_length\":2000000,\"piece_length\":1}",
		"{" ID "," LENGTHS ",\"url\":1}",
		"{" ID "," LENGTHS ",\"tag\":null}",
		"{" ID "," LENGTHS ",\"application\":{}}",
		"{" ID "," LENGTHS ",\"headers\":\"\xe2\x82\xac\"}", /* U+20AC is no byte */
		"{" ID "," LENGTHS ",\"headers\":\"\\u0000\"}",
		"{" ID "," LENGTHS ",\"digest\":\"sha256:12\"}",
	};

	(void)state;
	assert_int_equal(parse("{" ID "," LENGTHS "}"), 0);
	assert_int_equal(parse("{" ID "," LENGTHS ",\"headers\":\"\\u00ff\",\"later\":7}"), 0);
	for (size_t i = 0; i < array_len(wrong); i++)
		assert_int_equal(parse(wrong[i]), -EBADMSG);
}

static void a_head_cut_short_or_too_long_is_refused(void **state)
{
	cleanup(free_at) char *data = NULL;
	struct store_meta m;
	struct err e;
	size_t len;

	(void)state;
	data = head_of("{" ID "," LENGTHS "}", &len);
	for (size_t cut = 0; cut < len; cut++) {
		cleanup(free_at) char *exact = mem_dup(data, cut);

		assert_int_equal(store_head_parse(exact, cut, id, &m, &e), -EBADMSG);
	}
	assert_int_equal(store_head_parse(data, len, id, &m, &e), 0);
	store_meta_release(&m);
	data[14] = 0x10; /* a length of more than a megabyte */
	assert_int_equal(store_head_parse(data, len, id, &m, &e), -EBADMSG);
	data[14] = 0;
	data[8] = 2; /* a version to come */
	assert_int_equal(store_head_parse(data, len, id, &m, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "version 2"));
}

static void an_entry_fits_its_place_only(void **state)
{
	static const char other[] =
		"1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct store_entry x = {.index = 3,
				.length = 100,
				.crc32 = 0x89abcdef,
				.cost_ms = 77,
				.xxh3 = 0x0123456789abcdef,
				.epoch = UINT64_MAX,
				.time_ms = -1,
				.source = STORE_FROM_PEER},
			   got;
	unsigned char place[STORE_PLACE_SIZE];

	(void)state;
	store_entry_print(&x, id, place);
	assert_int_equal(store_entry_parse(place, id, 3, 100, &got), STORE_PLACE_TAKEN);
	assert_true(got.index == 3 && got.length == 100 && got.crc32 == x.crc32 &&
		    got.cost_ms == 77 && got.xxh3 == x.xxh3 && got.epoch == x.epoch &&
		    got.time_ms == -1 && got.source == STORE_FROM_PEER);
	assert_int_equal(store_entry_parse(place, id, 2, 100, &got), STORE_PLACE_TORN);
	assert_int_equal(store_entry_parse(place, id, 3, 101, &got), STORE_PLACE_TORN);
	assert_int_equal(store_entry_parse(place, other, 3, 100, &got), STORE_PLACE_TORN);
	x.source = 2;
	store_entry_print(&x, id, place);
	assert_int_equal(store_entry_parse(place, id, 3, 100, &got), STORE_PLACE_TORN);
	memset(place, 0, sizeof(place));
	assert_int_equal(store_entry_parse(place, id, 3, 100, &got), STORE_PLACE_EMPTY);
}

static void blocks_are_believed_if_they_make_the_piece(void **state)
{
	unsigned char data[1000], place[STORE_PLACE_SIZE] = {0};
	uint32_t crc32[PIECE_BLOCKS] = {0}, got[PIECE_BLOCKS], whole;

	(void)state;
	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * i);
	for (unsigned i = 0; i < 10; i++)
		crc32[i] = crc32_update(0, data + i * 100, 100);
	whole = crc32_update(0, data, sizeof(data));
	assert_false(store_blocks_parse(place, 100, 1000, whole, got));
	assert_false(store_blocks_parse(place, 100, 1000, 0, got));
	store_blocks_print(crc32, place);
	assert_true(store_blocks_parse(place, 100, 1000, whole, got));
	assert_memory_equal(got, crc32, sizeof(crc32));
	assert_false(store_blocks_parse(place, 100, 1000, whole + 1, got));
	assert_false(store_blocks_parse(place, 100, 999, whole, got));
	for (unsigned bit = 0; bit < 10 * 32; bit++) {
		place[bit / 8] ^= (unsigned char)(1u << bit % 8);
		assert_false(store_blocks_parse(place, 100, 1000, whole, got));
		place[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_read_as_it_was_written),
		cmocka_unit_test(a_head_has_a_bound),
		cmocka_unit_test(nonsense_in_a_head_is_refused),
		cmocka_unit_test(a_head_cut_short_or_too_long_is_refused),
		cmocka_unit_test(an_entry_fits_its_place_only),
		cmocka_unit_test(blocks_are_believed_if_they_make_the_piece),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
