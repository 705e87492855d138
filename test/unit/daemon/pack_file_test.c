/* The pack of a start as a file: what was packed comes back, what is damaged does not. */
#include "daemon/pack_file.h"

#include "base/cleanup.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LEN 300000

static char block[LEN], out[LEN + 1];

/* Bytes of the frame of that block, without its head. */
static size_t pack_one(struct pack_frame f, char **frame_out)
{
	int fd cleanup(close_at) = open("/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	struct pack_writer *w cleanup(pack_writer_free_at) = pack_writer_new(fd);
	unsigned char head[PACK_HEAD_LEN];
	struct pack_frame got;
	struct err e;

	memset(block, 'x', LEN / 2);
	/* Another one before it. */
	assert_int_equal(pack_writer_add(w, &f, block, 1, &e), 0);
	uint64_t at = pack_writer_length(w);
	assert_int_equal(pack_writer_add(w, &f, block, LEN, &e), 0);
	assert_int_equal(pread(fd, head, PACK_HEAD_LEN, (off_t)at), PACK_HEAD_LEN);
	pack_head_read(head, &got);
	assert_int_equal(got.layer, f.layer);
	assert_int_equal(got.block, f.block);
	assert_int_equal(at + PACK_HEAD_LEN + got.len, pack_writer_length(w));
	*frame_out = mem_alloc(got.len);
	assert_int_equal(pread(fd, *frame_out, got.len, (off_t)at + PACK_HEAD_LEN), got.len);
	return got.len;
}

static void what_was_packed_comes_back(void **state)
{
	char *frame cleanup(free_at) = NULL;
	size_t len = pack_one((struct pack_frame){.layer = 7, .block = UINT32_MAX}, &frame);
	struct err e;

	(void)state;
	assert_in_range(len, 1, pack_frame_max(LEN));
	assert_int_equal(pack_frame_unpack(frame, len, out, LEN, &e), 0);
	assert_memory_equal(out, block, LEN);
}

static void another_length_is_refused(void **state)
{
	char *frame cleanup(free_at) = NULL;
	size_t len = pack_one((struct pack_frame){0}, &frame);
	struct err e;

	(void)state;
	assert_int_equal(pack_frame_unpack(frame, len, out, LEN - 1, &e), -EBADMSG);
	assert_int_equal(pack_frame_unpack(frame, len, out, LEN + 1, &e), -EBADMSG);
	assert_int_equal(pack_frame_unpack(frame, len - 1, out, LEN, &e), -EBADMSG);
}

static void what_is_no_frame_is_refused(void **state)
{
	char *frame cleanup(free_at) = NULL;
	size_t len = pack_one((struct pack_frame){0}, &frame);
	struct err e;

	(void)state;
	frame[0] ^= 1;
	assert_int_equal(pack_frame_unpack(frame, len, out, LEN, &e), -EBADMSG);
}

static void a_file_that_cannot_be_written_is_told_of(void **state)
{
	int fd cleanup(close_at) = open("/dev/full", O_RDWR | O_CLOEXEC);
	struct pack_writer *w cleanup(pack_writer_free_at) = pack_writer_new(fd);
	const struct pack_frame f = {0};
	struct err e;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pack_writer_add(w, &f, block, LEN, &e), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_packed_comes_back),
		cmocka_unit_test(another_length_is_refused),
		cmocka_unit_test(what_is_no_frame_is_refused),
		cmocka_unit_test(a_file_that_cannot_be_written_is_told_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
