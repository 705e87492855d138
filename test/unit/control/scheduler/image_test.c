/* Images resolved at a registry of our own. */
#include "control/scheduler/image.h"

#include "base/digest.h"
#include "base/mem.h"
#include "test/unit/unit.h"

#include "test/unit/daemon/fake_http.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static const char manifest[] =
	"{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:" A
	"\",\"size\":7},\"layers\":[{\"digest\":\"sha256:" B "\",\"size\":8}]}";

enum lock_kind { OPEN, BEARER, BASIC };

struct fixture {
	struct fake_http *http;
	char hex[DIGEST_HEX_LEN + 1]; /* of the manifest */
	enum lock_kind kind;
	bool is_index, lies;
	const char *token_status;
	struct image image;
	struct err e;
};

static bool answer_index(struct fake_conn *c, const struct fixture *f)
{
	char text[1024];

	snprintf(text, sizeof(text),
		 "{\"schemaVersion\":2,\"manifests\":[{\"digest\":\"sha256:" A
		 "\",\"size\":1,\"platform\":{\"os\":\"linux\",\"architecture\":\"s390x\"}},"
		 "{\"digest\":\"sha256:%s\",\"size\":1,\"platform\":{\"os\":\"linux\","
		 "\"architecture\":\"arm64\",\"variant\":\"v8\"}}]}",
		 f->hex);
	return fake_reply(c, "200 OK", "", text);
}

static bool answer_token(struct fake_conn *c, const struct fixture *f)
{
	return fake_reply(c, f->token_status ? f->token_status : "200 OK", "",
			  "{\"token\":\"let-me-in\"}");
}

static bool answer(struct fake_conn *c, void *arg)
{
	const struct fixture *f = arg;
	cleanup(free_at) char *auth = fake_header(c->head, "Authorization");
	char challenge[256];

	if (strncmp(c->target, "/token", 6) == 0)
		return answer_token(c, f);
	if (f->kind == BEARER && (!auth || strcmp(auth, "Bearer let-me-in") != 0)) {
		snprintf(challenge, sizeof(challenge),
			 "WWW-Authenticate: Bearer realm=\"%s/token\",service=\"reg\","
			 "scope=\"repository:a/b:pull\"\r\n",
			 c->server->url);
		return fake_reply(c, "401 Unauthorized", challenge, "");
	}
	if (f->kind == BASIC && (!auth || strcmp(auth, "Basic bWU6c2VjcmV0") != 0))
		return fake_reply(c, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"r\"\r\n",
				  "");
	if (strstr(c->target, "/none"))
		return fake_reply(c, "404 Not Found", "", "");
	if (strstr(c->target, "/sha256:"))
		return fake_reply(c, "200 OK", "", f->lies ? "{}" : manifest);
	return f->is_index ? answer_index(c, f) : fake_reply(c, "200 OK", "", manifest);
}

static int start(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	sha256_hex(manifest, strlen(manifest), f->hex);
	f->http = fake_start(answer, f, NULL);
	*state = f;
	return 0;
}

static int stop(void **state)
{
	struct fixture *f = *state;

	image_release(&f->image);
	fake_stop(f->http);
	free(f);
	return 0;
}

static int resolve(struct fixture *f, const char *path, struct image_ask ask)
{
	cleanup(free_at) char *url = fake_at(f->http, path);

	image_release(&f->image);
	ask.url = url;
	ask.timeout_ms = 20000;
	return image_resolve(&ask, &f->image, &f->e);
}

static void assert_blobs(const struct fixture *f)
{
	cleanup(free_at) char *config = fake_at(f->http, "/v2/a/b/blobs/sha256:" A);
	cleanup(free_at) char *layer = fake_at(f->http, "/v2/a/b/blobs/sha256:" B);

	assert_int_equal(f->image.count, 2);
	assert_string_equal(f->image.urls[0], config);
	assert_string_equal(f->image.urls[1], layer);
}

static void an_image_is_its_config_and_layers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest", (struct image_ask){0}), 0);
	assert_blobs(f);
	assert_null(f->image.authorization);
}

static void of_an_index_the_platform_is_taken(void **state)
{
	struct fixture *f = *state;

	f->is_index = true;
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest",
				 (struct image_ask){.platform = "linux/arm64"}),
			 0);
	assert_blobs(f);
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest",
				 (struct image_ask){.platform = "linux/arm64/v8"}),
			 0);
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest",
				 (struct image_ask){.platform = "windows/amd64"}),
			 -ENOENT);
	assert_int_equal(
		resolve(f, "/v2/a/b/manifests/latest", (struct image_ask){.platform = "linux"}),
		-ENOENT);
}

static void a_manifest_that_is_not_what_its_digest_says_is_refused(void **state)
{
	struct fixture *f = *state;

	f->is_index = f->lies = true;
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest",
				 (struct image_ask){.platform = "linux/arm64"}),
			 -EBADMSG);
}

static void a_token_is_asked_for_and_only_kept_if_it_is_the_callers(void **state)
{
	struct fixture *f = *state;

	f->kind = BEARER;
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest", (struct image_ask){0}), 0);
	assert_null(f->image.authorization);
	assert_true(fake_saw(f->http, "service=reg&scope=repository%3Aa%2Fb%3Apull"));
	assert_false(fake_saw(f->http, "Basic"));
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest",
				 (struct image_ask){.username = "me", .password = "secret"}),
			 0);
	assert_string_equal(f->image.authorization, "Bearer let-me-in");
	assert_true(fake_saw(f->http, "Basic bWU6c2VjcmV0"));
	f->token_status = "403 Forbidden";
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest", (struct image_ask){0}), -EACCES);
}

static void a_password_is_only_given_when_asked_for(void **state)
{
	struct fixture *f = *state;
	const struct image_ask me = {.username = "me", .password = "secret"};

	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest", me), 0);
	assert_false(fake_saw(f->http, "Authorization"));
	f->kind = BASIC;
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest", me), 0);
	assert_string_equal(f->image.authorization, "Basic bWU6c2VjcmV0");
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest", (struct image_ask){0}), -EACCES);
}

static void the_callers_authorization_is_final(void **state)
{
	const struct image_header good = {"authorization", "Bearer let-me-in"};
	const struct image_header bad = {"Authorization", "Bearer other"};
	const struct image_header torn = {"X", "a\r\nAuthorization: Bearer let-me-in"};
	struct fixture *f = *state;

	f->kind = BEARER;
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest",
				 (struct image_ask){.headers = &good, .header_count = 1}),
			 0);
	assert_string_equal(f->image.authorization, "Bearer let-me-in");
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest",
				 (struct image_ask){.headers = &bad, .header_count = 1}),
			 -EACCES);
	assert_int_equal(resolve(f, "/v2/a/b/manifests/latest",
				 (struct image_ask){.headers = &torn, .header_count = 1}),
			 -EINVAL);
	assert_false(fake_saw(f->http, "/token"));
}

static void what_is_no_manifest_is_refused(void **state)
{
	static const char *const bad[] = {
		"http://127.0.0.1:1/v2/a/b/blobs/x", "http://127.0.0.1:1/v2/a/manifests/",
		"http://127.0.0.1:1/manifests/x",    "http://127.0.0.1:1/v2/a/manifests/x?y",
		"ftp://127.0.0.1/v2/a/manifests/x",  "x"};
	struct image_ask ask = {.timeout_ms = 20000};
	struct fixture *f = *state;

	for (size_t i = 0; i < array_len(bad); i++) {
		ask.url = bad[i];
		assert_int_equal(image_resolve(&ask, &f->image, &f->e), -EINVAL);
	}
	ask.url = "http://169.254.169.254/v2/a/manifests/x";
	assert_int_equal(image_resolve(&ask, &f->image, &f->e), -EACCES);
	ask.url = "http://127.0.0.1:1/v2/a/manifests/x";
	assert_int_equal(image_resolve(&ask, &f->image, &f->e), -EHOSTUNREACH);
	assert_int_equal(resolve(f, "/v2/a/b/manifests/none", (struct image_ask){0}), -ENOENT);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_image_is_its_config_and_layers),
		TEST(of_an_index_the_platform_is_taken),
		TEST(a_manifest_that_is_not_what_its_digest_says_is_refused),
		TEST(a_token_is_asked_for_and_only_kept_if_it_is_the_callers),
		TEST(a_password_is_only_given_when_asked_for),
		TEST(the_callers_authorization_is_final),
		TEST(what_is_no_manifest_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
