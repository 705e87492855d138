/* The strict parser: what it reads, and every trick that it refuses. */
#include "base/http.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int parse(enum http_kind kind, const char *text, struct http_head *h, struct err *e)
{
	return http_head_parse(kind, text, strlen(text), h, e);
}

static void request_is_read(void **state)
{
	(void)state;
	static const char text[] =
		"GET /v2/a/b?ns=docker.io HTTP/1.1\r\nHost: r.example:5000\r\n"
		"X-Empty:\r\nAccept: \t a, b \t\r\nConnection: x, Close\r\n\r\nrest";
	cleanup(http_head_release) struct http_head h;
	struct err e;

	assert_int_equal(parse(HTTP_REQUEST, text, &h, &e), (int)strlen(text) - 4);
	assert_string_equal(h.method, "GET");
	assert_string_equal(h.target, "/v2/a/b?ns=docker.io");
	assert_int_equal(h.minor, 1);
	assert_int_equal(h.header_count, 4);
	assert_string_equal(http_header_get(&h, "accept"), "a, b");
	assert_string_equal(http_header_get(&h, "X-EMPTY"), "");
	assert_null(http_header_get(&h, "Range"));
	assert_false(h.keep_alive);
	assert_false(h.chunked);
	assert_int_equal(h.content_length, -1);
}

static void response_is_read(void **state)
{
	(void)state;
	cleanup(http_head_release) struct http_head h;
	struct err e;

	assert_true(parse(HTTP_RESPONSE, "HTTP/1.0 404 Not  here\r\nContent-Length: 7\r\n\r\n", &h,
			  &e) > 0);
	assert_int_equal(h.status, 404);
	assert_string_equal(h.reason, "Not  here");
	assert_int_equal(h.content_length, 7);
	assert_false(h.keep_alive);
	http_head_release(&h);
	assert_true(parse(HTTP_RESPONSE, "HTTP/1.1 200\r\n\r\n", &h, &e) > 0);
	assert_string_equal(h.reason, "");
	assert_true(h.keep_alive);
}

static void good_requests_are_read(void **state)
{
	(void)state;
	static const char *const good[] = {
		"GET / HTTP/1.0\r\n\r\n",
		"GET http://h/ HTTP/1.1\r\nHost: other\r\n\r\n",
		"CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 999999999999999999\r\n\r\n",
		"GET /?a=b:c//d HTTP/1.1\r\nHost: h\r\nX: \xc3\xa9:x\r\n\r\n",
	};

	for (size_t i = 0; i < array_len(good); i++) {
		cleanup(http_head_release) struct http_head h;
		struct err e = {0};

		assert_int_equal(parse(HTTP_REQUEST, good[i], &h, &e), (int)strlen(good[i]));
	}
}

static const struct {
	int code;
	const char *text;
} tricks[] = {
	/* line ends */
	{EPROTO, "GET / HTTP/1.1\nHost: h\n\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: h\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n"},
	{EPROTO, "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "\r\n\r\n"},
	/* the request line */
	{EPROTO, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n"},
	{EPROTO, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, " GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET /\r\nHost: h\r\n\r\n"},
	{EPROTO, "G(T / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET / http/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET / HTTP/1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.10\r\nHost: h\r\n\r\n"},
	{ENOTSUP, "GET / HTTP/1.2\r\nHost: h\r\n\r\n"},
	{ENOTSUP, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"},
	{ENOTSUP, "PRI * HTTP/2.0\r\n\r\n"},
	{EPROTO, "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET a HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET ://x HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET /@://x HTTP/1.1 x\r\nHost: h\r\n\r\n"},
	{EPROTO, "GET * HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "CONNECT host HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "CONNECT http://h:1/ HTTP/1.1\r\nHost: h\r\n\r\n"},
	{EPROTO, "GEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEEET / HTTP/1.1\r\nHost: h\r\n\r\n"},
	/* header lines */
	{EPROTO, "GET / HTTP/1.1\r\nHost : h\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost\t: h\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: h\r\n\tfolded: x\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\n Host: h\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: h\r\nnocolon\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: h\r\nX\x01: y\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: h\r\nX: a\x7f\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: h\r\nX: a\x0b\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: h\r\nX\xc3\xa9: a\r\n\r\n"},
	/* Host */
	{EPROTO, "GET / HTTP/1.1\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"},
	{EPROTO, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
	/* Content-Length and Transfer-Encoding */
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 1\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1 2\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999999999999999\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{EPROTO, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
		 "Transfer-Encoding: chunked\r\n\r\n"},
	{ENOTSUP, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
	{ENOTSUP, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n"},
	{ENOTSUP, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n"},
	{ENOTSUP, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n"},
	{ENOTSUP, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n"},
	{ENOTSUP, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n"},
	{ENOTSUP, "POST / HTTP/1.1\r\nHost: h\r\nExpect: magic\r\n\r\n"},
	/* another protocol at our door */
	{EPROTO, "\x16\x03\x01\x02"},
};

static void tricks_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(tricks); i++) {
		struct http_head h;
		struct err e = {0};

		if (parse(HTTP_REQUEST, tricks[i].text, &h, &e) != -tricks[i].code)
			fail_msg("not refused as it should be: %s", tricks[i].text);
		assert_int_equal(e.code, tricks[i].code);
		assert_null(h.text);
	}
}

static void nul_is_refused(void **state)
{
	(void)state;
	static const char text[] = "GET / HTTP/1.1\r\nHost: h\0x\r\n\r\n";
	struct http_head h;
	struct err e;

	assert_int_equal(http_head_parse(HTTP_REQUEST, text, sizeof(text) - 1, &h, &e), -EPROTO);
}

static void bad_status_lines_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"HTTP/1.1 20 OK\r\n\r\n",   "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n",
		"HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1\r\n\r\n",		"ICY 200 OK\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\n\r\n",
	};

	for (size_t i = 0; i < array_len(bad); i++) {
		struct http_head h;
		struct err e;

		assert_int_equal(parse(HTTP_RESPONSE, bad[i], &h, &e), -EPROTO);
	}
}

static void half_a_head_asks_for_more(void **state)
{
	(void)state;
	static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
	struct http_head h;
	struct err e;

	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(http_head_parse(HTTP_REQUEST, text, n, &h, &e), 0);
}

static void endless_head_is_refused(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(HTTP_HEAD_MAX * 2);
	struct http_head h;
	struct err e;

	buf_puts(&b, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
	while (b.len < HTTP_HEAD_MAX - 1)
		buf_puts(&b, "x");
	assert_int_equal(http_head_parse(HTTP_REQUEST, b.data, b.len, &h, &e), 0);
	buf_puts(&b, "x");
	assert_int_equal(http_head_parse(HTTP_REQUEST, b.data, b.len, &h, &e), -EMSGSIZE);
	buf_release(&b);
}

static void too_many_headers_are_refused(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(HTTP_HEAD_MAX);
	struct http_head h;
	struct err e;

	buf_puts(&b, "GET / HTTP/1.1\r\nHost: h\r\n");
	for (int i = 1; i < HTTP_HEADERS_MAX; i++)
		buf_puts(&b, "A: b\r\n");
	buf_puts(&b, "\r\n");
	assert_int_equal(http_head_parse(HTTP_REQUEST, b.data, b.len, &h, &e), (int)b.len);
	http_head_release(&h);
	b.len -= 2;
	buf_puts(&b, "A: b\r\n\r\n");
	assert_int_equal(http_head_parse(HTTP_REQUEST, b.data, b.len, &h, &e), -EMSGSIZE);
	buf_release(&b);
}

static void keep_alive_follows_version_and_connection(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		bool keep;
	} cases[] = {
		{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", true},
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", false},
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: a\r\nConnection: b , close\r\n\r\n",
		 false},
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: closer\r\n\r\n", true},
		{"GET / HTTP/1.0\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
	};

	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(http_head_release) struct http_head h;
		struct err e;

		assert_true(parse(HTTP_REQUEST, cases[i].text, &h, &e) > 0);
		assert_int_equal(h.keep_alive, cases[i].keep);
	}
}

static void expectation_is_seen(void **state)
{
	(void)state;
	cleanup(http_head_release) struct http_head h;
	struct err e;

	assert_true(parse(HTTP_REQUEST,
			  "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n"
			  "Content-Length: 1\r\n\r\n",
			  &h, &e) > 0);
	assert_true(h.expect_continue);
}

static const char chunked_text[] = "4;ext=\"1\"\r\nWiki\r\n5\r\npedia\r\n0000\r\n"
				   "Trailer: x\r\nOther: y\r\n\r\nNEXT";

static void chunked_body_is_decoded_at_every_cut(void **state)
{
	(void)state;
	size_t whole = sizeof(chunked_text) - 1 - 4;

	for (size_t cut = 0; cut <= whole; cut++) {
		cleanup(buf_release) struct buf out = BUF_INIT(64);
		struct http_chunked c;
		ssize_t n, m;
		struct err e;

		http_chunked_init(&c);
		n = http_chunked_feed(&c, chunked_text, cut, &out, &e);
		assert_int_equal(n, (ssize_t)cut);
		m = http_chunked_feed(&c, chunked_text + n, sizeof(chunked_text) - 1 - (size_t)n,
				      &out, &e);
		assert_int_equal(n + m, (ssize_t)whole);
		assert_true(c.done);
		assert_string_equal(out.data, "Wikipedia");
	}
}

static void bad_chunks_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"\r\n",		"g\r\n",       "4\nWiki",
		"4\rWiki",	" 4\r\nWiki",  "4 \r\nWiki",
		"-4\r\nWiki",	"0x4\r\nWiki", "4\r\nWikiX",
		"4\r\nWiki\rX", "4\r\nWiki\n", "4;a\nb\r\n",
		"0\r\nA: b\n",	"0\r\n\rX",    "1000000000000000\r\n",
		"4;\x01\r\n",	";\r\n",       "0\r\nA: \x7f\r\n",
	};

	for (size_t i = 0; i < array_len(bad); i++) {
		cleanup(buf_release) struct buf out = BUF_INIT(64);
		struct http_chunked c;
		struct err e;

		http_chunked_init(&c);
		if (http_chunked_feed(&c, bad[i], strlen(bad[i]), &out, &e) != -EPROTO)
			fail_msg("not refused: %s", bad[i]);
	}
}

static void endless_chunk_lines_are_refused(void **state)
{
	(void)state;
	static const char *const starts[] = {"4;", "0\r\nA: "};

	for (size_t i = 0; i < array_len(starts); i++) {
		cleanup(buf_release) struct buf out = BUF_INIT(64);
		struct http_chunked c;
		struct err e;
		ssize_t n;
		int fed = 0;

		http_chunked_init(&c);
		n = http_chunked_feed(&c, starts[i], strlen(starts[i]), &out, &e);
		for (; n >= 0 && fed < 100000; fed++)
			n = http_chunked_feed(&c, "x", 1, &out, &e);
		assert_int_equal(n, -EPROTO);
	}
}

static void body_larger_than_its_bound_is_refused(void **state)
{
	(void)state;
	cleanup(buf_release) struct buf out = BUF_INIT(8);
	struct http_chunked c;
	struct err e;

	http_chunked_init(&c);
	assert_int_equal(http_chunked_feed(&c, chunked_text, sizeof(chunked_text) - 1, &out, &e),
			 -EMSGSIZE);
}

static void ranges_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *value;
		uint64_t length;
		int r;
		bool present;
		uint64_t off, len;
	} cases[] = {
		{"bytes=0-0", 10, 0, true, 0, 1},
		{"bytes=2-5", 10, 0, true, 2, 4},
		{"bytes=2-", 10, 0, true, 2, 8},
		{"bytes=-3", 10, 0, true, 7, 3},
		{"bytes=-30", 10, 0, true, 0, 10},
		{"bytes=9-99", 10, 0, true, 9, 1},
		{"Bytes= 1-2 ", 10, 0, true, 1, 2},
		{"bytes=0-999999999999999999", 10, 0, true, 0, 10},
		{"bytes=10-", 10, -ERANGE, false, 0, 0},
		{"bytes=10-20", 10, -ERANGE, false, 0, 0},
		{"bytes=-0", 10, -ERANGE, false, 0, 0},
		{"bytes=0-", 0, -ERANGE, false, 0, 0},
		{"bytes=-1", 0, -ERANGE, false, 0, 0},
		{NULL, 10, 0, false, 0, 0},
		{"bytes=0-1,3-4", 10, 0, false, 0, 0},
		{"bytes=5-2", 10, 0, false, 0, 0},
		{"bytes=", 10, 0, false, 0, 0},
		{"bytes=-", 10, 0, false, 0, 0},
		{"bytes=a-b", 10, 0, false, 0, 0},
		{"bytes=1-2x", 10, 0, false, 0, 0},
		{"items=0-1", 10, 0, false, 0, 0},
		{"bytes=99999999999999999999-", 10, 0, false, 0, 0},
	};

	for (size_t i = 0; i < array_len(cases); i++) {
		struct http_range range;
		struct err e;

		if (http_range_parse(cases[i].value, cases[i].length, &range, &e) != cases[i].r ||
		    range.present != cases[i].present || range.off != cases[i].off ||
		    range.len != cases[i].len)
			fail_msg("wrong: %s", cases[i].value ? cases[i].value : "NULL");
	}
}

static void content_ranges_are_read(void **state)
{
	(void)state;
	static const char *const bad[] = {"bytes 5-2/10", "bytes 0-10/10", "bytes */10", "0-1/2",
					  "bytes 0-1/",	  "bytes 0-1/2x",  "bytes 0-1"};
	uint64_t first, last;
	int64_t total;

	assert_true(http_content_range_parse("bytes 2-4/10", &first, &last, &total));
	assert_int_equal(first, 2);
	assert_int_equal(last, 4);
	assert_int_equal(total, 10);
	assert_true(http_content_range_parse("bytes 0-0/*", &first, &last, &total));
	assert_int_equal(total, -1);
	for (size_t i = 0; i < array_len(bad); i++)
		assert_false(http_content_range_parse(bad[i], &first, &last, &total));
}

static void date_is_in_http_form(void **state)
{
	(void)state;
	char text[32];

	http_date(text);
	assert_int_equal(strlen(text), strlen("Sun, 06 Nov 1994 08:49:37 GMT"));
	assert_string_equal(text + 26, "GMT");
	assert_string_equal(http_reason(206), "Partial Content");
	assert_string_equal(http_reason(299), "Unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_is_read),
		cmocka_unit_test(response_is_read),
		cmocka_unit_test(good_requests_are_read),
		cmocka_unit_test(tricks_are_refused),
		cmocka_unit_test(nul_is_refused),
		cmocka_unit_test(bad_status_lines_are_refused),
		cmocka_unit_test(half_a_head_asks_for_more),
		cmocka_unit_test(endless_head_is_refused),
		cmocka_unit_test(too_many_headers_are_refused),
		cmocka_unit_test(keep_alive_follows_version_and_connection),
		cmocka_unit_test(expectation_is_seen),
		cmocka_unit_test(chunked_body_is_decoded_at_every_cut),
		cmocka_unit_test(bad_chunks_are_refused),
		cmocka_unit_test(endless_chunk_lines_are_refused),
		cmocka_unit_test(body_larger_than_its_bound_is_refused),
		cmocka_unit_test(ranges_are_read),
		cmocka_unit_test(content_ranges_are_read),
		cmocka_unit_test(date_is_in_http_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
