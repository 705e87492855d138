/* The record of a start: what was noted comes back, what is damaged does not. */
#include "daemon/start_record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define IMAGE "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER "10112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static unsigned char file[START_RECORD_LEN];

static void digest_of(unsigned n, char out[DIGEST_HEX_LEN + 1])
{
	snprintf(out, DIGEST_HEX_LEN + 1, "%064x", n);
}

static bool add(struct start_record *r, unsigned layer, uint32_t block)
{
	char digest[DIGEST_HEX_LEN + 1];

	digest_of(layer, digest);
	return start_record_add(r, digest, block);
}

static void expect_run(const struct start_record *r, uint32_t no, unsigned layer, uint32_t first,
		       unsigned count)
{
	assert_int_equal(r->runs[no].layer, layer);
	assert_int_equal(r->runs[no].first, first);
	assert_int_equal(r->runs[no].count, count);
}

static void what_was_read_comes_back_in_its_order(void **state)
{
	struct start_record r = {0}, s;
	char one[DIGEST_HEX_LEN + 1], two[DIGEST_HEX_LEN + 1], pack[DIGEST_HEX_LEN + 1];
	struct err e = {0};

	(void)state;
	assert_true(add(&r, 1, 7));
	assert_true(add(&r, 1, 8));
	assert_true(add(&r, 2, 0));
	assert_true(add(&r, 1, 9));
	digest_of(3, r.pack);
	r.pack_len = UINT64_C(5) << 40;
	start_record_write(&r, IMAGE, file);
	start_record_release(&r);
	assert_int_equal(start_record_parse(file, sizeof(file), IMAGE, &s, &e), 0);
	digest_of(1, one);
	digest_of(2, two);
	digest_of(3, pack);
	assert_string_equal(s.pack, pack);
	assert_true(s.pack_len == UINT64_C(5) << 40);
	assert_int_equal(s.layer_count, 2);
	assert_string_equal(s.layers[0], one);
	assert_string_equal(s.layers[1], two);
	assert_int_equal(s.run_count, 3);
	expect_run(&s, 0, 0, 7, 2);
	expect_run(&s, 1, 1, 0, 1);
	expect_run(&s, 2, 0, 9, 1);
	start_record_release(&s);
}

static void the_block_after_each_run_is_added_at_the_end(void **state)
{
	struct start_record r = {0};

	(void)state;
	assert_true(add(&r, 1, 7));
	assert_true(add(&r, 1, 9));
	assert_true(add(&r, 2, 5));
	assert_true(add(&r, 1, 10));
	start_record_widen(&r);
	assert_int_equal(r.run_count, 7);
	expect_run(&r, 0, 0, 7, 1);
	expect_run(&r, 1, 0, 9, 1);
	expect_run(&r, 2, 1, 5, 1);
	expect_run(&r, 3, 0, 10, 1);
	expect_run(&r, 4, 0, 8, 1);
	expect_run(&r, 5, 1, 6, 1);
	expect_run(&r, 6, 0, 11, 1);
	start_record_release(&r);
}

static void a_full_record_takes_no_more_and_is_whole(void **state)
{
	struct start_record r = {0}, s;
	uint32_t noted = 0;
	struct err e = {0};

	(void)state;
	/* Every second block: none joins the one before. */
	while (add(&r, 1, noted * 2))
		noted++;
	assert_true(noted > 8000);
	assert_true(add(&r, 1, (noted - 1) * 2 + 1)); /* this one joins */
	start_record_write(&r, IMAGE, file);
	start_record_release(&r);
	assert_int_equal(start_record_parse(file, sizeof(file), IMAGE, &s, &e), 0);
	assert_int_equal(s.run_count, noted);
	assert_int_equal(s.runs[noted - 1].count, 2);
	start_record_release(&s);
}

static void layers_have_a_bound(void **state)
{
	struct start_record r = {0};

	(void)state;
	for (unsigned i = 0; i < START_RECORD_LAYERS_MAX; i++)
		assert_true(add(&r, i, 0));
	assert_false(add(&r, START_RECORD_LAYERS_MAX, 0));
	assert_true(add(&r, 3, 5));
	start_record_release(&r);
}

static int parse(size_t len, const char *image)
{
	struct start_record r;
	struct err e = {0};
	int result = start_record_parse(file, len, image, &r, &e);

	start_record_release(&r);
	return result;
}

static void every_changed_byte_is_refused(void **state)
{
	struct start_record r = {0};

	(void)state;
	assert_true(add(&r, 1, 7));
	start_record_write(&r, IMAGE, file);
	start_record_release(&r);
	for (size_t at = 0; at < sizeof(file); at += at < 160 ? 1 : 997) {
		file[at] ^= 1;
		assert_int_equal(parse(sizeof(file), IMAGE), -EBADMSG);
		file[at] ^= 1;
	}
	assert_int_equal(parse(sizeof(file) - 1, IMAGE), -EBADMSG);
	assert_int_equal(parse(sizeof(file), OTHER), -EBADMSG);
	assert_int_equal(parse(sizeof(file), IMAGE), 0);
}

/* Right but for what is written at this place. */
static int parse_with(size_t at, uint32_t value)
{
	struct start_record r = {0};
	uint64_t sum;

	assert_true(add(&r, 1, 7));
	start_record_write(&r, IMAGE, file);
	start_record_release(&r);
	memcpy(file + at, &value, sizeof(value));
	sum = xxh3_of(file, START_RECORD_LEN - 8);
	memcpy(file + START_RECORD_LEN - 8, &sum, sizeof(sum));
	return parse(sizeof(file), IMAGE);
}

static void lists_that_cannot_be_are_refused(void **state)
{
	const size_t run = START_RECORD_HEAD_LEN + 32;

	(void)state;
	assert_int_equal(parse_with(8, 2), 0);
	assert_int_equal(parse_with(8, 1), -EBADMSG);	 /* version */
	assert_int_equal(parse_with(12, 513), -EBADMSG); /* layers */
	assert_int_equal(parse_with(12, UINT32_MAX), -EBADMSG);
	assert_int_equal(parse_with(16, 9000), -EBADMSG); /* runs */
	assert_int_equal(parse_with(16, UINT32_MAX), -EBADMSG);
	assert_int_equal(parse_with(run, 0x00010001), -EBADMSG); /* of the second layer of one */
	assert_int_equal(parse_with(run, 0x00000000), -EBADMSG); /* of no block */
	assert_int_equal(parse_with(run, 0xffff0000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_read_comes_back_in_its_order),
		cmocka_unit_test(the_block_after_each_run_is_added_at_the_end),
		cmocka_unit_test(a_full_record_takes_no_more_and_is_whole),
		cmocka_unit_test(layers_have_a_bound),
		cmocka_unit_test(every_changed_byte_is_refused),
		cmocka_unit_test(lists_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
