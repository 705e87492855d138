/* Fuzzes the HTTP parser. The first byte chooses: requests, responses, chunked bodies, ranges. What
 * must hold for every input: nothing is read outside, and a cut never changes the meaning. */
#include "base/http.h"
#include "base/mem.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A head that is whole is whole in every longer input, and its parts are texts of one line. */
static void fuzz_head(enum http_kind kind, const char *text, size_t len)
{
	struct http_head whole, exact;
	struct err e;
	int n = http_head_parse(kind, text, len, &whole, &e);

	if (n <= 0)
		return;
	assert((size_t)n <= len && whole.header_count <= HTTP_HEADERS_MAX);
	for (unsigned i = 0; i < whole.header_count; i++) {
		assert(whole.headers[i].name[0]);
		assert(!strpbrk(whole.headers[i].name, " \t\r\n:"));
		assert(!strpbrk(whole.headers[i].value, "\r\n"));
	}
	assert(!(whole.chunked && whole.content_length >= 0));
	assert(http_head_parse(kind, text, (size_t)n, &exact, &e) == n);
	assert(exact.header_count == whole.header_count &&
	       exact.content_length == whole.content_length && exact.chunked == whole.chunked);
	http_head_release(&whole);
	http_head_release(&exact);
}

/* Fed at once or byte by byte, the outcome is the same. */
static void fuzz_chunked(const char *text, size_t len)
{
	struct buf once = BUF_INIT(1u << 20), bytes = BUF_INIT(1u << 20);
	struct http_chunked a, b;
	struct err e;
	ssize_t n, m = 0;
	size_t at = 0;

	http_chunked_init(&a);
	http_chunked_init(&b);
	n = http_chunked_feed(&a, text, len, &once, &e);
	while (at < len && !b.done && (m = http_chunked_feed(&b, text + at, 1, &bytes, &e)) > 0)
		at += (size_t)m;
	assert((n < 0) == (m < 0) && (n < 0 || (size_t)n == at) && a.done == b.done);
	assert(once.len == bytes.len &&
	       !memcmp(once.data ? once.data : "", bytes.data ? bytes.data : "", once.len));
	buf_release(&once);
	buf_release(&bytes);
}

static void fuzz_range(const char *data, size_t len)
{
	cleanup(free_at) char *text = mem_strndup(data, len);
	struct http_range range;
	uint64_t first, last, length = len * 7;
	int64_t total;
	struct err e;

	if (http_range_parse(text, length, &range, &e) == 0 && range.present)
		assert(range.len > 0 && range.off + range.len <= length);
	if (http_content_range_parse(text, &first, &last, &total))
		assert(first <= last && (total < 0 || last < (uint64_t)total));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;

	if (size < 1)
		return 0;
	switch (data[0]) {
	case 'q':
		fuzz_head(HTTP_REQUEST, text, size - 1);
		break;
	case 'a':
		fuzz_head(HTTP_RESPONSE, text, size - 1);
		break;
	case 'c':
		fuzz_chunked(text, size - 1);
		break;
	default:
		fuzz_range(text, size - 1);
	}
	return 0;
}
