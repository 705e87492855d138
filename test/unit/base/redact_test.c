/* base/redact: planted secrets go, the rest stays. */
#include "test/unit/unit.h"

#include "base/redact.h"

#include <string.h>

static void secrets_go_and_the_rest_stays(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"", ""},
		{"nothing here", "nothing here"},
		{"Bearer S", "Bearer [redacted]"},
		{"x bearer S, y", "x bearer [redacted], y"},
		{"Basic  S\" z", "Basic  [redacted]\" z"},
		{"Authorization: Digest S T", "Authorization: [redacted]"},
		{"Proxy-Authorization:S\r\nHost: h", "Proxy-Authorization:[redacted]\r\nHost: h"},
		{"Cookie: a=S; b=S\nX: y", "Cookie: [redacted]\nX: y"},
		{"Set-Cookie: S", "Set-Cookie: [redacted]"},
		{"/p?token=S&a=b", "/p?token=[redacted]&a=b"},
		{"/p?a=b&X-Amz-Signature=S", "/p?a=b&X-Amz-Signature=[redacted]"},
		{"X-Amz-Security-Token=S x", "X-Amz-Security-Token=[redacted] x"},
		{"password = \"S T\" end", "password = \"[redacted]\" end"},
		{"{\"access_token\":\"S\",\"a\":1}", "{\"access_token\":\"[redacted]\",\"a\":1}"},
		{"{\"token\": \"S\"}", "{\"token\": \"[redacted]\"}"},
		{"{\"token\" : \"S\\\"S\", 1}", "{\"token\" : \"[redacted]\", 1}"},
		{"https://u:S@h/p", "https://[redacted]@h/p"},
		{"https://h/p@x", "https://h/p@x"},
		{"https://h?x=a@b", "https://h?x=a@b"},
		{"token: no answer from h", "token: no answer from h"},
		{"no token", "no token"},
		{"tokens=5 token_ttl=6", "tokens=5 token_ttl=6"},
		{"Bearer", "Bearer"},
		{"password", "password"},
		{"password=", "password="},
		{"clientSecret=S", "clientSecret=[redacted]"},
		{"http:/", "http:/"},
		{"://", "://"},
	};

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct buf b = BUF_INIT(0);

		redact_append(&b, cases[i].text, strlen(cases[i].text));
		assert_string_equal(b.data ? b.data : "", cases[i].want);
		buf_release(&b);
	}
}

static void text_need_not_end_with_a_nul(void **state)
{
	struct buf b = BUF_INIT(0);

	(void)state;
	redact_append(&b, "token=S&x=\0y://u@z Bearer Stop", 29);
	assert_int_equal(b.len, strlen("token=[redacted]&x= y://[redacted]@z Bearer [redacted]"));
	assert_null(memchr(b.data, 'S', b.len));
	buf_release(&b);
}

static void keys_of_secrets_are_known(void **state)
{
	static const char *const secret[] = {"authorization",	    "Token",	    "PASSWORD",
					     "set-cookie",	    "access_token", "clientSecret",
					     "proxy-authorization", "x.signature"};
	static const char *const open[] = {"task", "tokens", "notoken", "token_ttl", "", "cookies"};

	(void)state;
	for (size_t i = 0; i < array_len(secret); i++)
		assert_true(redact_is_secret_key(secret[i], strlen(secret[i])));
	for (size_t i = 0; i < array_len(open); i++)
		assert_false(redact_is_secret_key(open[i], strlen(open[i])));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secrets_go_and_the_rest_stays),
		cmocka_unit_test(text_need_not_end_with_a_nul),
		cmocka_unit_test(keys_of_secrets_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
