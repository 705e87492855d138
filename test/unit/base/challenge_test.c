#include "test/unit/unit.h"

#include "base/challenge.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

static void assert_text(const char *got, const char *want)
{
	if (want)
		assert_string_equal(got, want);
	else
		assert_null(got);
}

static void assert_challenge(const char *value, enum challenge_scheme scheme, const char *realm,
			     const char *service, const char *scope)
{
	struct challenge c = {0};
	struct err e;

	assert_int_equal(challenge_parse(value, &c, &e), 0);
	assert_int_equal(c.scheme, scheme);
	assert_text(c.realm, realm);
	assert_text(c.service, service);
	assert_text(c.scope, scope);
	challenge_release(&c);
}

static void bearer_is_read(void **state)
{
	(void)state;
	assert_challenge("Bearer realm=\"https://auth.docker.io/token\","
			 "service=\"registry.docker.io\",scope=\"repository:library/x:pull,push\"",
			 CHALLENGE_BEARER, "https://auth.docker.io/token", "registry.docker.io",
			 "repository:library/x:pull,push");
	assert_challenge("bEARER Realm=x , SERVICE = \"y\"", CHALLENGE_BEARER, "x", "y", NULL);
	assert_challenge("Bearer realm=\"a\\\"b\\\\\",error=\"invalid_token\"", CHALLENGE_BEARER,
			 "a\"b\\", NULL, NULL);
}

static void basic_is_read(void **state)
{
	(void)state;
	assert_challenge("Basic realm=\"Registry Realm\"", CHALLENGE_BASIC, "Registry Realm", NULL,
			 NULL);
	assert_challenge("Basic", CHALLENGE_BASIC, NULL, NULL, NULL);
}

static void best_of_several_is_taken(void **state)
{
	struct challenge c = {0};
	struct err e;

	(void)state;
	assert_challenge("Negotiate YWJj==, Basic realm=\"b\", Bearer realm=\"x\"",
			 CHALLENGE_BEARER, "x", NULL, NULL);
	assert_challenge("Bearer realm=\"x\", service=\"s\", Basic realm=\"b\"", CHALLENGE_BEARER,
			 "x", "s", NULL);
	assert_challenge("Bearer service=\"no realm\", Basic realm=\"b\"", CHALLENGE_BASIC, "b",
			 NULL, NULL);
	assert_challenge("Negotiate, NTLM", CHALLENGE_NONE, NULL, NULL, NULL);
	assert_challenge("Bearer realm=", CHALLENGE_NONE, NULL, NULL, NULL); /* a token68 */
	assert_challenge("", CHALLENGE_NONE, NULL, NULL, NULL);
	assert_challenge(" , ,", CHALLENGE_NONE, NULL, NULL, NULL);
	/* over several headers */
	assert_int_equal(challenge_parse("Basic realm=\"b\"", &c, &e), 0);
	assert_int_equal(challenge_parse("Bearer realm=\"x\"", &c, &e), 0);
	assert_int_equal(challenge_parse("Basic realm=\"c\"", &c, &e), 0);
	assert_int_equal(c.scheme, CHALLENGE_BEARER);
	assert_string_equal(c.realm, "x");
	challenge_release(&c);
}

static void malformed_is_refused(void **state)
{
	static const char *const values[] = {
		"Bearer realm=\"x",	     "Bearer realm=\"a\"b", "=",
		"Bearer realm=\"a\\",	     "Bearer\x01realm=x",   "Bearer realm=\"a\x02\"",
		"Bearer realm=x; service=y", "\"Bearer\"",
	};

	(void)state;
	for (size_t i = 0; i < array_len(values); i++) {
		struct challenge c = {0};
		struct err e = {0};

		assert_int_equal(challenge_parse(values[i], &c, &e), -EPROTO);
		assert_int_equal(e.code, EPROTO);
		assert_int_equal(c.scheme, CHALLENGE_NONE);
	}
}

static void long_value_is_refused(void **state)
{
	cleanup(free_at) char *text = mem_alloc(CHALLENGE_VALUE_MAX + 2);
	struct challenge c = {0};
	struct err e;

	(void)state;
	memset(text, 'a', CHALLENGE_VALUE_MAX + 1);
	assert_int_equal(challenge_parse(text, &c, &e), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bearer_is_read),	    cmocka_unit_test(basic_is_read),
		cmocka_unit_test(best_of_several_is_taken), cmocka_unit_test(malformed_is_refused),
		cmocka_unit_test(long_value_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
