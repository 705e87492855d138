/* daemon/task_message: foreign downloads into requests, tasks into messages */
#include "daemon/task_message.h"

#include "test/unit/unit.h"

#include "base/mem.h"
#include "proto/message.h"

#include <errno.h>
#include <string.h>

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static int read_headers(const char *const (*pairs)[2], size_t count,
			struct task_message_request *out)
{
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;
	Common__V2__Download__RequestHeaderEntry entries[200];
	struct Common__V2__Download__RequestHeaderEntry *list[200];
	struct err e;
	int r;

	for (size_t i = 0; i < count; i++) {
		common__v2__download__request_header_entry__init(&entries[i]);
		entries[i].key = (char *)pairs[i][0];
		entries[i].value = (char *)pairs[i][1];
		list[i] = &entries[i];
	}
	d.url = (char *)"https://example.com/x";
	d.request_header = list;
	d.n_request_header = count;
	r = task_message_read(&d, out, &e);
	if (r < 0)
		task_message_release(out);
	return r;
}

static void headers_of_parts_and_of_the_transport_are_left_out(void **state)
{
	static const char *const pairs[][2] = {
		{"Authorization", "Bearer x"}, {"Range", "bytes=0-1"}, {"Host", "evil"},
		{"If-None-Match", "\"e\""},    {"Accept", "*/*"},      {"Content-Length", "5"},
	};
	struct task_message_request m;

	(void)state;
	assert_int_equal(read_headers(pairs, array_len(pairs), &m), 0);
	assert_int_equal(m.headers.count, 2);
	assert_string_equal(m.headers.items[0].name, "Authorization");
	assert_string_equal(m.headers.items[1].value, "*/*");
	task_message_release(&m);
}

static void headers_that_could_forge_a_request_are_refused(void **state)
{
	static const char *const values[][2] = {{"X", "a\r\nHost: evil"}};
	static const char *const names[][2] = {{"X: y\r\nZ", "a"}};
	static const char *many[200][2];
	struct task_message_request m;

	(void)state;
	for (size_t i = 0; i < array_len(many); i++) {
		many[i][0] = "X";
		many[i][1] = "y";
	}
	assert_int_equal(read_headers(values, 1, &m), -EINVAL);
	assert_int_equal(read_headers(names, 1, &m), -EINVAL);
	assert_int_equal(read_headers((const char *const(*)[2])many, array_len(many), &m), -EINVAL);
}

static void digests_are_found_in_urls(void **state)
{
	static const char *const good[] = {"sha256:" HEX,
					   "https://digest.invalid/v2/-/blobs/sha256:" HEX};
	static const char *const others[] = {"https://example.com/v2/x/blobs/sha256:" HEX,
					     "sha256:" HEX "0", "sha256:xyz",
					     "https://digest.invalid/"};
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;
	struct task_message_request m;
	const char *hex;
	struct err e;

	(void)state;
	for (size_t i = 0; i < array_len(good); i++) {
		assert_true(task_message_is_digest(good[i], &hex));
		assert_string_equal(hex, HEX);
		d.url = (char *)good[i];
		assert_int_equal(task_message_read(&d, &m, &e), 0);
		assert_null(m.rq.url);
		assert_string_equal(m.rq.digest, "sha256:" HEX);
		assert_true(m.rq.blob_digest_id);
		task_message_release(&m);
	}
	for (size_t i = 0; i < array_len(others); i++)
		assert_false(task_message_is_digest(others[i], &hex));
}

static void absent_and_empty_are_alike(void **state)
{
	Common__V2__Download d = COMMON__V2__DOWNLOAD__INIT;
	Google__Protobuf__Duration negative = GOOGLE__PROTOBUF__DURATION__INIT;
	struct task_message_request m;
	struct err e;

	(void)state;
	d.url = (char *)"https://example.com/x";
	message_set(&d, tag, COMMON__V2__DOWNLOAD__TAG__TAG, (char *)"");
	negative.seconds = -5;
	d.timeout = &negative;
	assert_int_equal(task_message_read(&d, &m, &e), 0);
	assert_string_equal(m.rq.url, "https://example.com/x");
	assert_null(m.rq.tag);
	assert_null(m.rq.digest);
	assert_int_equal(m.rq.piece_length, 0);
	assert_int_equal(m.rq.timeout_ms, 0);
	task_message_release(&m);
	message_set(&d, piece_length, COMMON__V2__DOWNLOAD__PIECE_LENGTH__PIECE_LENGTH,
		    UINT64_C(1) << 32);
	assert_int_equal(task_message_read(&d, &m, &e), -EINVAL);
	task_message_release(&m);
}

static void kept_headers_become_a_map(void **state)
{
	struct store_meta meta = {.id = HEX,
				  .headers = (char *)"Content-Type: text/plain\nETag:\t\"x\"\n"
						     "no colon\nEmpty:\nLast: z"};
	Dfdaemon__V2__StatLocalTaskResponse *m;

	(void)state;
	assert_true(geometry_init(&meta.geometry, 10, 4));
	m = task_message_stat(&meta);
	assert_int_equal(m->n_response_header, 4);
	assert_string_equal(m->response_header[0]->value, "text/plain");
	assert_string_equal(m->response_header[1]->key, "ETag");
	assert_string_equal(m->response_header[1]->value, "\"x\"");
	assert_string_equal(m->response_header[2]->value, "");
	assert_string_equal(m->response_header[3]->value, "z");
	protobuf_c_message_free_unpacked(&m->base, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_of_parts_and_of_the_transport_are_left_out),
		cmocka_unit_test(headers_that_could_forge_a_request_are_refused),
		cmocka_unit_test(digests_are_found_in_urls),
		cmocka_unit_test(absent_and_empty_are_alike),
		cmocka_unit_test(kept_headers_become_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
