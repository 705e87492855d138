/* Task ids against the identifiers that Dragonfly's own tests state as facts. */
#include "proto/task_id.h"

#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct vector {
	const char *url, *tag, *application, *revision;
	uint64_t piece_length;
	const char *filter[3];
	const char *id;
};

static const struct vector vectors[] = {
	{"https://example.com",
	 "foo",
	 "bar",
	 "v1.0",
	 1024,
	 {0},
	 "5844f27a257287e9b734256bb25603d8005422ced8c0377f15063ec11963b25f"},
	{"https://example.com",
	 "foo",
	 "bar",
	 NULL,
	 0,
	 {0},
	 "06408fbf247ddaca478f8cb9565fe5591c28efd0994b8fea80a6a87d3203c5ca"},
	{"https://example.com",
	 "foo",
	 NULL,
	 NULL,
	 0,
	 {0},
	 "3c3f230ef9f191dd2821510346a7bc138e4894bee9aee184ba250a3040701d2a"},
	{"https://example.com",
	 NULL,
	 "bar",
	 NULL,
	 0,
	 {0},
	 "c9f9261b7305c24371244f9f149f5d4589ed601348fdf22d7f6f4b10658fdba2"},
	{"https://example.com",
	 NULL,
	 NULL,
	 NULL,
	 1024,
	 {0},
	 "9f7c9aafbc6f30f8f41a96ca77eeae80c5b60964b3034b0ee43ccf7b2f9e52b8"},
	{"https://example.com?foo=foo&bar=bar",
	 NULL,
	 NULL,
	 NULL,
	 0,
	 {"foo", "bar"},
	 "457b4328cde278e422c9e243f7bfd1e97f511fec43a80f535cf6b0ef6b086776"},
	{"https://example.com",
	 NULL,
	 NULL,
	 "v1.0",
	 0,
	 {0},
	 "b171331534b80e0bf91da38ebbfcdbf4d177898f4b9beac44f14733e3f004d4e"},
	{"https://example.com/file.txt?z=9&b=2&a=1",
	 "foo",
	 "bar",
	 NULL,
	 0,
	 {"z"},
	 "8b3f6e9b9b8fe20903bced565cfd1d0aaef354a4c17573f0c2c1979210443f9d"},
	{"https://example.com/file.txt?k=a b&m=x*y&n=c~d",
	 NULL,
	 NULL,
	 NULL,
	 1024,
	 {"none"},
	 "6196a6846023f6d3c1e4d30f6c86f3d4186e4c664a33e5692b0e04e49b26a9af"},
	{"https://example.com/file.txt?a=1&b=2",
	 "foo",
	 NULL,
	 NULL,
	 0,
	 {"a", "b"},
	 "c8f4b41117329d54af920010394f6f607bac707e933ab2f18d372e3dd4c7fcb3"},
	{"https://example.com/file.txt?b=2&a=1",
	 NULL,
	 NULL,
	 NULL,
	 0,
	 {0},
	 "980ee327518ccc5a7c30703e1a2232e8ba9047b39431f940636c85b6146f8b9a"},
};

static void make(const struct task_id_input *in, char id[65])
{
	struct err e = {0};

	if (task_id_make(in, id, &e) < 0)
		fail_msg("%s", e.text);
}

static void ids_are_those_of_dragonfly(void **state)
{
	(void)state;
	for (size_t i = 0; i < array_len(vectors); i++) {
		const struct vector *v = &vectors[i];
		size_t filters = 0;
		char id[65];

		while (v->filter[filters])
			filters++;
		make(&(struct task_id_input){.url = v->url,
					     .tag = v->tag,
					     .application = v->application,
					     .revision = v->revision,
					     .piece_length = v->piece_length,
					     .filtered_params = v->filter,
					     .filtered_param_count = filters},
		     id);
		assert_string_equal(id, v->id);
	}
}

static void content_beats_everything(void **state)
{
	char id[65];

	(void)state;
	make(&(struct task_id_input){.url = "https://example.com",
				     .tag = "foo",
				     .piece_length = 1024,
				     .content_for_id = "This is a test file"},
	     id);
	assert_string_equal(id, "e2d0fe1585a63ec6009c8016ff8dda8b17719a637405a4e23c0ff81339148249");
}

#define HEX "b2c366cce7e68013d5441c6326d5a3e1b12aeb5ed58564d0fd3fa089bc29cb6e"

static void a_blob_is_named_by_its_digest(void **state)
{
	static const char *const urls[] = {
		"http://registry.example.com/v2/library/ubuntu/blobs/sha256:" HEX,
		"http://localhost:5000/v2/myrepo/blobs/sha256:" HEX "?ns=docker.io",
		"https://r/prefix/v2/a/b/c/blobs/sha256:" HEX,
	};
	char id[65];

	(void)state;
	for (size_t i = 0; i < array_len(urls); i++) {
		make(&(struct task_id_input){.url = urls[i],
					     .tag = "ignored",
					     .blob_digest_id = true},
		     id);
		assert_string_equal(id, HEX);
		make(&(struct task_id_input){.url = urls[i]}, id);
		assert_string_not_equal(id, HEX);
	}
}

static void what_is_no_blob_url_is_not_taken_for_one(void **state)
{
	static const char *const urls[] = {
		"https://example.com/file.txt",
		"http://r/v2/library/ubuntu/blobs/sha256:abc",
		"http://r/v2/library/ubuntu/blobs/md5:8a04994a666b4e4b20a2fd9e5a44f44c",
		"http://r/v2/blobs/sha256:" HEX,
		"http://r/v2/a/blobs/sha256:" HEX "/more",
		"http://r/v2/a/manifests/sha256:" HEX,
		"http://r/x?u=/v2/a/blobs/sha256:" HEX,
		"/v2/a/blobs/sha256:" HEX,
		"",
	};
	const char *hex;

	(void)state;
	for (size_t i = 0; i < array_len(urls); i++)
		assert_false(task_id_blob_url(urls[i], &hex));
}

/* Both URLs must give one id when the filter is not empty. */
static void same(const char *a, const char *b)
{
	static const char *const filter[] = {"x"};
	char id_a[65], id_b[65];

	make(&(struct task_id_input){.url = a,
				     .filtered_params = filter,
				     .filtered_param_count = 1},
	     id_a);
	make(&(struct task_id_input){.url = b,
				     .filtered_params = filter,
				     .filtered_param_count = 1},
	     id_b);
	if (strcmp(id_a, id_b) != 0)
		fail_msg("%s and %s differ", a, b);
}

static void urls_are_brought_into_one_form(void **state)
{
	(void)state;
	same("HTTPS://Example.COM:443/a", "https://example.com/a");
	same("http://example.com:80/a", "http://example.com/a");
	same("http://example.com/a/./b/../c", "http://example.com/a/c");
	same("http://example.com/../../c", "http://example.com/c");
	same("http://example.com/a/%2e%2E/c/.", "http://example.com/c/");
	same("http://example.com/a\\b", "http://example.com/a/b");
	same("http://example.com/a b", "http://example.com/a%20b");
	same("http://example.com/", "http://example.com");
	same("http://example.com/f?x=1", "http://example.com/f");
	same("http://example.com/f?b=2&x=1&a=1", "http://example.com/f?a=1&b=2");
	same("http://example.com/f?a=1;q&b=2", "http://example.com/f?b=2");
	same("http://example.com/f?a", "http://example.com/f?a=");
	same("http://example.com/f?&&a=%7e", "http://example.com/f?a=~");
	same("http://example.com/f?a=1+2", "http://example.com/f?a=1%202");
	same("http://example.com/f?b=1&a=1&b=0", "http://example.com/f?a=1&b=1&b=0");
}

static void a_user_and_a_fragment_count(void **state)
{
	static const char *const filter[] = {"x"};
	static const char *const urls[] = {"http://u:P@h/f", "http://h/f", "http://h/f#g",
					   "http://u:p@h/f"};
	char ids[4][65];

	(void)state;
	for (size_t i = 0; i < array_len(urls); i++)
		make(&(struct task_id_input){.url = urls[i],
					     .filtered_params = filter,
					     .filtered_param_count = 1},
		     ids[i]);
	for (size_t i = 0; i < array_len(urls); i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(ids[i], ids[j]);
}

static void nonsense_is_refused(void **state)
{
	static const char *const urls[] = {":error_url",  "",	"//h/x", "1http://h/", "http:///x",
					   "http://h/\n", "h/x"};
	cleanup(free_at) char *long_url = mem_alloc(20000);
	struct err e;
	char id[65];

	(void)state;
	for (size_t i = 0; i < array_len(urls); i++) {
		e = (struct err){0};
		assert_int_equal(task_id_make(&(struct task_id_input){.url = urls[i]}, id, &e),
				 -EINVAL);
		assert_int_equal(e.code, EINVAL);
	}
	memset(long_url, 'a', 19999);
	memcpy(long_url, "http://", 7);
	assert_int_equal(task_id_make(&(struct task_id_input){.url = long_url}, id, &e), -EINVAL);
	assert_int_equal(task_id_make(&(struct task_id_input){0}, id, &e), -EINVAL);
}

static void too_many_parameters_are_refused(void **state)
{
	static const char *const filter[] = {"x"};
	cleanup(free_at) char *url = mem_alloc(2000);
	struct err e = {0};
	char id[65];

	(void)state;
	strcpy(url, "http://h/?");
	for (size_t i = 0; i < 600; i++)
		strcat(url, "a&");
	assert_int_equal(task_id_make(&(struct task_id_input){.url = url,
							      .filtered_params = filter,
							      .filtered_param_count = 1},
				      id, &e),
			 -EINVAL);
}

static void the_default_filter_drops_signatures(void **state)
{
	char signed_id[65], plain_id[65];

	(void)state;
	make(&(struct task_id_input){.url = "https://b.s3.amazonaws.com/"
					    "k?X-Amz-Signature=1&X-Amz-Date=2&ns=docker.io",
				     .filtered_params = task_id_default_filter,
				     .filtered_param_count = task_id_default_filter_count},
	     signed_id);
	make(&(struct task_id_input){.url = "https://b.s3.amazonaws.com/k",
				     .filtered_params = task_id_default_filter,
				     .filtered_param_count = task_id_default_filter_count},
	     plain_id);
	assert_string_equal(signed_id, plain_id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_those_of_dragonfly),
		cmocka_unit_test(content_beats_everything),
		cmocka_unit_test(a_blob_is_named_by_its_digest),
		cmocka_unit_test(what_is_no_blob_url_is_not_taken_for_one),
		cmocka_unit_test(urls_are_brought_into_one_form),
		cmocka_unit_test(a_user_and_a_fragment_count),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(too_many_parameters_are_refused),
		cmocka_unit_test(the_default_filter_drops_signatures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
