/* A layer's own table, read out of its blob: what is wrong with one is told apart from what is
 * wrong with the network. */
#include "daemon/layer_toc.h"

#include "test/unit/daemon/fake_note_source.h"
#include "test/unit/daemon/vouched_layer.h"

static int opens_with; /* errno; 0 = the task can be opened */

int task_open_wait(struct tasks *ts, const struct task_request *rq, struct task **out,
		   struct err *e)
{
	(void)ts;
	assert_memory_equal(rq->digest, "sha256:", 7);
	assert_string_equal(rq->digest + 7, fake.digest);
	assert_true(rq->blob_digest_id);
	if (opens_with)
		return err_set(e, opens_with, "fake");
	task_ref(&fake.task);
	*out = &fake.task;
	return 0;
}

static const enum layer_toc kinds[] = {LAYER_TOC_ESTARGZ, LAYER_TOC_ZSTD_CHUNKED};

static int set_up(void **state)
{
	(void)state;
	make_layer();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return remove_layer();
}

static void make(enum layer_toc kind)
{
	make_vouched_layer(kind, 3000, 5000, 1000);
}

static int build(struct layer_index **out)
{
	int fd cleanup(close_at) = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	struct err e = {0};
	int r = layer_toc_build(NULL, &says, dir, NULL, fd, &e);

	assert_int_equal(r, -e.code);
	if (r == 0 && index_open(fd, out, &e) < 0)
		fail_msg("%s", e.text);
	return r;
}

static int refusal(void)
{
	struct layer_index *ix = NULL;
	int r = build(&ix);

	if (r == 0)
		index_free(ix);
	return r;
}

static void the_table_alone_makes_an_index(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(kinds); i++) {
		struct layer_index *ix;
		uint64_t read = fake.bytes_read;

		make(kinds[i]);
		assert_int_equal(build(&ix), 0);
		assert_string_equal(index_info(ix)->digest, says.digest);
		assert_string_equal(index_info(ix)->diff_id, says.diff_id);
		assert_string_equal(index_info(ix)->toc_digest, says.toc_digest);
		assert_true(fake.bytes_read - read < fake.blob_len / 2);
		index_free(ix);
	}
}

static void a_table_with_another_digest_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(kinds); i++) {
		make(kinds[i]);
		spoil(says.toc_digest);
		assert_int_equal(refusal(), -EBADMSG);
	}
}

/* Wherever the bit is: the footer leads elsewhere, the table cannot be inflated or is another. */
static void no_changed_bit_of_a_table_or_its_footer_is_believed(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(kinds); i++) {
		unsigned refused = 0;

		make(kinds[i]);
		for (size_t back = 1; back < 300; back++) {
			unsigned char *at = fake.blob + fake.blob_len - back;
			int r;

			*at ^= 4;
			r = refusal();
			*at ^= 4;
			/* Some bytes of a footer and of gzip's own mean nothing. */
			assert_true(r == 0 || r == -EBADMSG || r == -ENOTSUP || r == -E2BIG);
			refused += r != 0;
		}
		assert_true(refused > 200);
		assert_int_equal(refusal(), 0);
	}
}

static void a_layer_that_is_cut_short_has_no_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(kinds); i++) {
		make(kinds[i]);
		fake.blob_len -= 9;
		fake.task.meta.geometry.content_length = fake.blob_len;
		assert_int_equal(refusal(), -ENOTSUP);
		/* Shorter than any footer. */
		fake.blob_len = 20;
		fake.task.meta.geometry.content_length = fake.blob_len;
		assert_int_equal(refusal(), -ENOTSUP);
	}
}

static void an_ordinary_layer_has_no_table(void **state)
{
	(void)state;
	strcpy(says.digest, fake.digest);
	assert_int_equal(refusal(), -ENOTSUP);
}

static void a_table_that_is_too_large_is_not_read(void **state)
{
	uint64_t len = TOC_STORED_LEN_MAX + (1 << 20), read;
	unsigned char footer[51];

	(void)state;
	make(LAYER_TOC_ESTARGZ);
	memcpy(footer, fake.blob + fake.blob_len - sizeof(footer), sizeof(footer));
	memcpy(footer + 16, "0000000000000000", 16); /* it begins with the blob */
	free(fake.blob);
	fake.blob = mem_alloc(len);
	memset(fake.blob, 0, len);
	memcpy(fake.blob + len - sizeof(footer), footer, sizeof(footer));
	fake.blob_len = fake.task.meta.geometry.content_length = len;
	read = fake.bytes_read;
	assert_int_equal(refusal(), -ENOTSUP);
	assert_true(fake.bytes_read - read <= TOC_TAIL_LEN);
}

/* As when the registry refuses ranges, or is away: nothing is said of the table. */
static void what_cannot_be_read_is_told_as_it_is(void **state)
{
	static const int whys[] = {EPROTO, ETIMEDOUT, EHOSTUNREACH, ECANCELED};

	(void)state;
	make(LAYER_TOC_ESTARGZ);
	for (size_t i = 0; i < array_len(whys); i++) {
		fake.fails = whys[i];
		assert_int_equal(refusal(), -whys[i]);
	}
	fake.fails = 0;
	opens_with = EACCES;
	assert_int_equal(refusal(), -EACCES);
	opens_with = 0;
	assert_int_equal(refusal(), 0);
}

#define toc_test(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		toc_test(the_table_alone_makes_an_index),
		toc_test(a_table_with_another_digest_is_refused),
		toc_test(no_changed_bit_of_a_table_or_its_footer_is_believed),
		toc_test(a_layer_that_is_cut_short_has_no_table),
		toc_test(an_ordinary_layer_has_no_table),
		toc_test(a_table_that_is_too_large_is_not_read),
		toc_test(what_cannot_be_read_is_told_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
