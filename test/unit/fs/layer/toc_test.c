/* fs/layer/toc, toc_table: tables of contents that foreign layers bring */
#include "test/unit/unit.h"

#include "base/buf.h"
#include "fs/layer/toc.h"
#include "fs/layer/toc_table.h"

#include <errno.h>
#include <string.h>

/* ---- footers */

#define BLOB_LEN 1000

static size_t put_gzip(unsigned char *out, bool legacy, const char *offset)
{
	static const unsigned char head[10] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff};
	static const unsigned char tail[13] = {1, 0, 0, 0xff, 0xff};
	unsigned char *at = out;

	memcpy(at, head, sizeof(head));
	at += sizeof(head);
	*at++ = legacy ? 22 : 26;
	*at++ = 0;
	if (!legacy) {
		memcpy(at, "SG\x16\0", 4);
		at += 4;
	}
	memcpy(at, offset, 16);
	memcpy(at + 16, "STARGZ", 6);
	memcpy(at + 22, tail, sizeof(tail));
	return (size_t)(at + 22 + sizeof(tail) - out);
}

static size_t put_zstd(unsigned char *out, unsigned char payload, uint64_t offset, uint64_t len)
{
	static const unsigned char skippable[4] = {0x50, 0x2a, 0x4d, 0x18};

	memset(out, 0, 8 + payload);
	memcpy(out, skippable, 4);
	out[4] = payload;
	for (int i = 0; i < 8; i++) {
		out[8 + i] = (unsigned char)(offset >> 8 * i);
		out[16 + i] = (unsigned char)(len >> 8 * i);
	}
	memcpy(out + payload, payload == 64 ? "GNUlInUx" : "GnUlInUx", 8);
	return 8 + (size_t)payload;
}

/* The kind of a blob that ends in these bytes. */
static enum layer_toc find(const unsigned char *footer, size_t len, struct toc_place *out)
{
	unsigned char tail[TOC_TAIL_LEN] = {0};

	memcpy(tail + sizeof(tail) - len, footer, len);
	toc_find(tail, sizeof(tail), BLOB_LEN, out);
	assert_int_equal(out->kind, toc_kind(tail, sizeof(tail), BLOB_LEN));
	return out->kind;
}

static void footers_say_where_the_table_is(void **state)
{
	unsigned char footer[TOC_TAIL_LEN];
	struct toc_place p;

	(void)state;
	assert_int_equal(find(footer, put_gzip(footer, false, "0000000000000064"), &p),
			 LAYER_TOC_ESTARGZ);
	assert_int_equal(p.offset, 100);
	assert_int_equal(p.stored_len, BLOB_LEN - 51 - 100);
	assert_int_equal(find(footer, put_gzip(footer, true, "0000000000000064"), &p),
			 LAYER_TOC_ESTARGZ);
	assert_int_equal(p.stored_len, BLOB_LEN - 47 - 100);
	assert_int_equal(find(footer, put_zstd(footer, 40, 100, 50), &p), LAYER_TOC_ZSTD_CHUNKED);
	assert_int_equal(p.offset, 100);
	assert_int_equal(p.stored_len, 50);
	assert_int_equal(find(footer, put_zstd(footer, 64, 7, 8), &p), LAYER_TOC_ZSTD_CHUNKED);
	assert_int_equal(p.offset, 7);
}

static void footers_of_tables_outside_of_the_blob_are_none(void **state)
{
	unsigned char footer[TOC_TAIL_LEN];
	struct toc_place p;

	(void)state;
	assert_int_equal(find(footer, put_gzip(footer, false, "00000000000003e8"), &p),
			 LAYER_TOC_NONE);
	assert_int_equal(find(footer, put_gzip(footer, true, "ffffffffffffffff"), &p),
			 LAYER_TOC_NONE);
	assert_int_equal(find(footer, put_gzip(footer, false, "00000000000000g0"), &p),
			 LAYER_TOC_NONE);
	assert_int_equal(find(footer, put_zstd(footer, 40, 1000, 0), &p), LAYER_TOC_NONE);
	assert_int_equal(find(footer, put_zstd(footer, 64, 999, 2), &p), LAYER_TOC_NONE);
	assert_false(toc_find(footer, 5, 5, &p));
}

/* ---- the table */

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static struct {
	struct toc_entry last;
	char path[64], link[64], xattr[64];
	unsigned count, xattr_len;
	int stop;
} seen;

static int got_entry(void *arg, const struct toc_entry *entry, struct err *e)
{
	(void)arg;
	seen.count++;
	seen.last = *entry;
	strcpy(seen.path, entry->tar.path);
	strcpy(seen.link, entry->tar.link);
	if (entry->tar.xattr_count) {
		seen.xattr_len = entry->tar.xattrs[0].value_len;
		memcpy(seen.xattr, entry->tar.xattrs[0].value, seen.xattr_len);
	}
	return seen.stop ? err_set(e, seen.stop, "fake") : 0;
}

static int parse_text(const char *text, struct err *e)
{
	memset(&seen, 0, sizeof(seen));
	return toc_table_parse(text, strlen(text), got_entry, NULL, e);
}

/* One entry with these members. */
static int parse(const char *members)
{
	struct buf b = BUF_INIT(0);
	struct err e = {0};
	int r;

	buf_printf(&b, "{\"version\": 1, \"entries\":\n[ {%s} ]}\n", members);
	r = parse_text(b.data, &e);
	buf_release(&b);
	assert_int_equal(r, -e.code);
	return r;
}

static void a_file_has_its_attributes_and_its_first_chunk(void **state)
{
	(void)state;
	assert_int_equal(
		parse("\"name\":\"a/b\",\"type\":\"reg\",\"size\":10,\"mode\":2541,\"uid\":7,"
		      "\"gid\":4294967295,\"modtime\":\"2024-02-29T12:34:56Z\",\"offset\":81,"
		      "\"innerOffset\":3,\"chunkSize\":6,\"digest\":\"sha256:x\","
		      "\"chunkDigest\":\"sha256:" HEX "\",\"userName\":\"me\","
		      "\"xattrs\":{\"security.capability\":\"AP+ABA==\"}"),
		0);
	assert_string_equal(seen.path, "a/b");
	assert_int_equal(seen.last.tar.type, TAR_FILE);
	assert_int_equal(seen.last.tar.mode, 2541);
	assert_int_equal(seen.last.tar.uid, 7);
	assert_int_equal(seen.last.tar.gid, UINT32_MAX);
	assert_int_equal(seen.last.tar.mtime_s, 1709210096);
	assert_int_equal(seen.last.tar.size, 10);
	assert_int_equal(seen.last.chunk.offset, 81);
	assert_int_equal(seen.last.chunk.inner, 3);
	assert_int_equal(seen.last.chunk.len, 6);
	assert_true(seen.last.chunk.has_digest);
	assert_int_equal(seen.last.chunk.sha256[31], 0x1f);
	assert_int_equal(seen.xattr_len, 4);
	assert_memory_equal(seen.xattr, "\0\xff\x80\4", 4);
}

static void the_only_chunk_of_a_file_has_the_files_digest(void **state)
{
	(void)state;
	assert_int_equal(parse("\"name\":\"a\",\"type\":\"reg\",\"size\":10,"
			       "\"digest\":\"sha256:" HEX "\""),
			 0);
	assert_true(seen.last.chunk.has_digest);
	assert_int_equal(parse("\"name\":\"a\",\"type\":\"reg\",\"size\":10,\"chunkSize\":9,"
			       "\"digest\":\"sha256:" HEX "\""),
			 0);
	assert_false(seen.last.chunk.has_digest);
}

static void chunks_links_and_devices_are_told(void **state)
{
	(void)state;
	assert_int_equal(parse("\"name\":\"a\",\"type\":\"chunk\",\"chunkOffset\":6,"
			       "\"chunkType\":\"zeros\""),
			 0);
	assert_true(seen.last.more && seen.last.chunk.zeros);
	assert_int_equal(seen.last.chunk.file_offset, 6);
	assert_int_equal(parse("\"name\":\"a\",\"type\":\"symlink\",\"linkName\":\"../x\""), 0);
	assert_string_equal(seen.link, "../x");
	assert_int_equal(parse("\"name\":\"a\",\"type\":\"char\",\"devMajor\":1,\"devMinor\":3"),
			 0);
	assert_int_equal(seen.last.tar.type, TAR_CHAR);
	assert_int_equal(seen.last.tar.minor, 3);
}

static void times_have_zones_and_fractions(void **state)
{
	(void)state;
	assert_int_equal(parse("\"name\":\"a\",\"type\":\"dir\","
			       "\"modtime\":\"1970-01-01T02:30:01.25+01:30\""),
			 0);
	assert_int_equal(seen.last.tar.mtime_s, 3601);
	assert_int_equal(seen.last.tar.mtime_ns, 250000000);
	assert_int_equal(parse("\"name\":\"a\",\"type\":\"dir\","
			       "\"modtime\":\"0001-01-01T00:00:00Z\""),
			 0);
	assert_true(seen.last.tar.mtime_s == -62135596800);
	assert_int_equal(parse("\"name\":\"a\",\"type\":\"dir\""), 0);
	assert_int_equal(seen.last.tar.mtime_s, 0);
}

static void entries_that_make_no_sense_are_refused(void **state)
{
	static const char *const entries[] = {
		"\"type\":\"dir\"",
		"\"name\":\"\",\"type\":\"dir\"",
		"\"name\":7,\"type\":\"dir\"",
		"\"name\":\"a\"",
		"\"name\":\"a\",\"type\":\"door\"",
		"\"name\":\"a\",\"type\":\"reg\",\"size\":-1",
		"\"name\":\"a\",\"type\":\"reg\",\"size\":1.5",
		"\"name\":\"a\",\"type\":\"reg\",\"offset\":\"1\"",
		"\"name\":\"a\",\"type\":\"reg\",\"chunkDigest\":\"sha256:12\"",
		"\"name\":\"a\",\"type\":\"reg\",\"chunkType\":\"ones\"",
		"\"name\":\"a\",\"type\":\"dir\",\"uid\":4294967296",
		"\"name\":\"a\",\"type\":\"dir\",\"modtime\":\"yesterday\"",
		"\"name\":\"a\",\"type\":\"dir\",\"modtime\":\"2024-13-01T00:00:00Z\"",
		"\"name\":\"a\",\"type\":\"dir\",\"modtime\":\"2024-12-01T00:00:00\"",
		"\"name\":\"a\",\"type\":\"dir\",\"xattrs\":{\"x\":\"A\"}",
		"\"name\":\"a\",\"type\":\"dir\",\"xattrs\":{\"x\":\"A===\"}",
		"\"name\":\"a\",\"type\":\"dir\",\"xattrs\":{\"x\":7}",
		"\"name\":\"a\",\"type\":\"dir\",\"name\":\"b\"",
	};

	(void)state;
	for (size_t i = 0; i < array_len(entries); i++) {
		if (parse(entries[i]) != -EBADMSG)
			fail_msg("%s", entries[i]);
		assert_int_equal(seen.count, 0);
	}
}

static void what_is_around_entries_is_passed_over_or_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"version\":1}",
		"{\"entries\":{}}",
		"{\"entries\":[1]}",
		"{\"entries\":[],\"entries\":[]}",
		"{\"entries\":[]",
		"{\"entries\":[]}}",
		"{\"entries\":[{]}",
		"{\"entries\":[],}",
		"{entries:[]}",
		"{\"entries\"[]}",
		"{\"version\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
	};
	struct err e = {0};

	(void)state;
	assert_int_equal(parse_text(" { \"a\" : [1,{}] , \"entries\" : [ ] , \"b\" : null } ", &e),
			 0);
	assert_int_equal(seen.count, 0);
	for (size_t i = 0; i < array_len(bad); i++) {
		if (parse_text(bad[i], &e) != -EBADMSG)
			fail_msg("%s", bad[i]);
	}
}

static int stop_at_once(void *arg, const struct toc_entry *entry, struct err *e)
{
	(void)arg;
	(void)entry;
	return err_set(e, ENOSPC, "fake");
}

static void the_callers_error_ends_the_parsing(void **state)
{
	static const char text[] = "{\"entries\":[{\"name\":\"a\",\"type\":\"dir\"},{}]}";
	struct err e = {0};

	(void)state;
	assert_int_equal(toc_table_parse(text, sizeof(text) - 1, stop_at_once, NULL, &e), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(footers_say_where_the_table_is),
		cmocka_unit_test(footers_of_tables_outside_of_the_blob_are_none),
		cmocka_unit_test(a_file_has_its_attributes_and_its_first_chunk),
		cmocka_unit_test(the_only_chunk_of_a_file_has_the_files_digest),
		cmocka_unit_test(chunks_links_and_devices_are_told),
		cmocka_unit_test(times_have_zones_and_fractions),
		cmocka_unit_test(entries_that_make_no_sense_are_refused),
		cmocka_unit_test(what_is_around_entries_is_passed_over_or_refused),
		cmocka_unit_test(the_callers_error_ends_the_parsing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
