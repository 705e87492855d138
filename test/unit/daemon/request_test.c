/* daemon/request: what is made of a question */
#include "daemon/request.h"

#include "test/unit/unit.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

#define HEX "b2c366cce7e68013d5441c6326d5a3e1b12aeb5ed58564d0fd3fa089bc29cb6e"

static struct request *make(const struct task_request *rq)
{
	struct request *r = NULL;
	struct err e = {0};

	if (request_new(rq, &r, &e) < 0)
		fail_msg("%s", e.text);
	return r;
}

static void a_bare_digest_names_itself(void **state)
{
	struct request *r = make(&(struct task_request){.digest = "sha256:" HEX});

	(void)state;
	assert_string_equal(r->id, HEX);
	assert_string_equal(r->digest, "sha256:" HEX);
	assert_null(r->source);
	request_free(r);
}

static void a_blob_is_verified_by_its_name(void **state)
{
	struct request *r = make(&(struct task_request){.url = "https://r/v2/a/blobs/sha256:" HEX,
							.blob_digest_id = true});

	(void)state;
	assert_string_equal(r->id, HEX);
	assert_string_equal(r->digest, "sha256:" HEX);
	request_free(r);
	/* Not where the id says nothing of the content. */
	r = make(&(struct task_request){.url = "https://r/v2/a/blobs/sha256:" HEX});
	assert_null(r->digest);
	request_free(r);
	r = make(&(struct task_request){.url = "https://r/v2/a/blobs/sha256:" HEX,
					.blob_digest_id = true,
					.content_for_id = "x"});
	assert_null(r->digest);
	request_free(r);
}

static void requests_that_resolve_alike_have_one_fingerprint(void **state)
{
	const struct task_request base = {.url = "http://o/f"};
	struct task_request others[6];
	struct request *a = make(&base), *b;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		others[i] = base;
	others[0].prefetch = true;
	others[1].priority = 3;
	others[2].local_only = true;
	others[3].disable_back_to_source = true;
	others[4].need_back_to_source = true;
	others[5].digest = "sha256:" HEX;
	for (unsigned i = 0; i < 6; i++) {
		b = make(&others[i]);
		assert_int_equal(a->fingerprint == b->fingerprint, i < 2);
		request_free(b);
	}
	request_free(a);
}

static void the_digest_that_a_blob_is_said_to_have_must_be_its_name(void **state)
{
	const struct task_request rq = {
		.url = "https://r/v2/a/blobs/sha256:" HEX,
		.blob_digest_id = true,
		.digest =
			"sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct request *r = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(request_new(&rq, &r, &e), -EINVAL);
	assert_null(r);
}

static void what_is_too_large_is_refused(void **state)
{
	cleanup(free_at) char *text = mem_alloc(70000);
	struct task_request rq = {.url = "http://o/f", .tag = text};
	struct request *r = NULL;
	struct err e = {0};

	(void)state;
	memset(text, 't', 69999);
	assert_int_equal(request_new(&rq, &r, &e), -EINVAL);
	rq.tag = NULL;
	rq.filtered_param_count = 1000;
	assert_int_equal(request_new(&rq, &r, &e), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bare_digest_names_itself),
		cmocka_unit_test(a_blob_is_verified_by_its_name),
		cmocka_unit_test(requests_that_resolve_alike_have_one_fingerprint),
		cmocka_unit_test(the_digest_that_a_blob_is_said_to_have_must_be_its_name),
		cmocka_unit_test(what_is_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
