/* What is taken from a request's head, and what of it may be passed on. */
#include "daemon/errand.h"

#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int make(const char *lines, struct errand **out, struct err *e)
{
	const struct errand_defaults defaults = {.prefetch = true, .blob_digest_id = true};
	cleanup(free_at) char *text = mem_printf("GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", lines);
	cleanup(http_head_release) struct http_head head;

	assert_true(http_head_parse(HTTP_REQUEST, text, strlen(text), &head, e) > 0);
	return errand_new(&head, &defaults, "Authorization", out, e);
}

static void errand_free_at(struct errand **x)
{
	errand_free(*x);
}

static void defaults_hold_without_headers(void **state)
{
	cleanup(errand_free_at) struct errand *x = NULL;
	struct err e;

	(void)state;
	assert_int_equal(make("", &x, &e), 0);
	assert_string_equal(x->method, "GET");
	assert_int_equal(x->priority, 6);
	assert_true(x->prefetch && x->blob_digest_id);
	assert_false(x->use_p2p || x->force_hard_link);
	assert_null(x->tag);
	assert_null(x->filtered);
	assert_int_equal(x->body_length, 0);
	assert_int_equal(x->headers.count, 0);
}

static void wishes_are_read(void **state)
{
	cleanup(errand_free_at) struct errand *x = NULL;
	struct err e;

	(void)state;
	assert_int_equal(make("x-dragonfly-tag: t\r\nX-Dragonfly-Application: a\r\n"
			      "X-Dragonfly-Use-P2P: True\r\nX-Dragonfly-Prefetch: false\r\n"
			      "X-Dragonfly-Force-Hard-Link: true\r\nX-Dragonfly-Priority: 0\r\n"
			      "X-Dragonfly-Output-Path: /o\r\nX-Dragonfly-Piece-Length: 64MiB\r\n"
			      "X-Dragonfly-Content-For-Calculating-Task-ID: c\r\n"
			      "X-Dragonfly-Enable-Task-ID-Based-Blob-Digest: false\r\n"
			      "X-Dragonfly-Filter: one&two\r\nContent-Length: 5\r\n",
			      &x, &e),
			 0);
	assert_string_equal(x->tag, "t");
	assert_string_equal(x->application, "a");
	assert_string_equal(x->output_path, "/o");
	assert_string_equal(x->content_for_id, "c");
	assert_true(x->use_p2p && x->force_hard_link);
	assert_false(x->prefetch || x->blob_digest_id);
	assert_int_equal(x->priority, 0);
	assert_int_equal(x->piece_length, 64u << 20);
	assert_int_equal(x->filtered_count, 2);
	assert_string_equal(x->filtered[1], "two");
	assert_int_equal(x->body_length, 5);
	assert_int_equal(x->headers.count, 0);
}

static void wishes_that_mean_nothing_are_refused(void **state)
{
	static const char *const bad[] = {
		"X-Dragonfly-Priority: 9\r\n",
		"X-Dragonfly-Priority: high\r\n",
		"X-Dragonfly-Priority: 12\r\n",
		"X-Dragonfly-Priority:\r\n",
		"X-Dragonfly-Piece-Length: 1mib\r\n",
		"X-Dragonfly-Piece-Length: x\r\n",
		"X-Dragonfly-Piece-Length: 1GiB\r\n",
		"X-Dragonfly-Use-P2P: maybe\r\n",
		"X-Dragonfly-Force-Hard-Link: 1\r\n",
		"X-Dragonfly-Content-For-Calculating-Task-ID: skimmer/layer-index/2/sha256:0\r\n",
	};

	(void)state;
	for (size_t i = 0; i < array_len(bad); i++) {
		struct errand *x;
		struct err e;

		if (make(bad[i], &x, &e) != -EINVAL)
			fail_msg("not refused: %s", bad[i]);
		assert_non_null(strstr(e.text, "X-Dragonfly-"));
	}
}

static void too_many_filtered_parameters_are_refused(void **state)
{
	struct buf lines = {0};
	struct errand *x;
	struct err e;

	(void)state;
	buf_puts(&lines, "X-Dragonfly-Filtered-Query-Params: a");
	for (int i = 0; i < 100; i++)
		buf_puts(&lines, ",a");
	buf_puts(&lines, "\r\n");
	assert_int_equal(make(lines.data, &x, &e), -EINVAL);
	buf_release(&lines);
}

static void task_gets_no_part_and_no_condition(void **state)
{
	cleanup(errand_free_at) struct errand *x = NULL;
	struct config_pairs pairs;
	struct err e;

	(void)state;
	assert_int_equal(make("Range: bytes=0-1\r\nIf-Range: x\r\nIf-None-Match: y\r\n"
			      "Accept-Encoding: gzip\r\nCookie: c\r\nAuthorization: a\r\n",
			      &x, &e),
			 0);
	assert_null(errand_header(x, "authorization"));
	assert_string_equal(errand_header(x, "range"), "bytes=0-1");
	pairs = errand_task_headers(x);
	assert_int_equal(pairs.count, 1);
	assert_string_equal(pairs.items[0].name, "Cookie");
	free(pairs.items);
}

static void query_is_not_printed(void **state)
{
	cleanup(errand_free_at) struct errand *x = NULL;
	cleanup(free_at) char *text = NULL;
	struct err e;

	(void)state;
	assert_int_equal(make("", &x, &e), 0);
	x->url = mem_strdup("https://h/p?signature=secret");
	text = errand_print_url(x);
	assert_string_equal(text, "https://h/p");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_hold_without_headers),
		cmocka_unit_test(wishes_are_read),
		cmocka_unit_test(wishes_that_mean_nothing_are_refused),
		cmocka_unit_test(too_many_filtered_parameters_are_refused),
		cmocka_unit_test(task_gets_no_part_and_no_condition),
		cmocka_unit_test(query_is_not_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
