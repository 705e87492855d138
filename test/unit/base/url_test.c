/* base/url */
#include "test/unit/unit.h"

#include "base/mem.h"
#include "base/url.h"

#include <errno.h>
#include <string.h>

static void parts_are_taken(void **state)
{
	cleanup(url_release) struct url u;
	cleanup(free_at) char *again = NULL;
	struct err e;

	(void)state;
	assert_int_equal(url_parse("HTTPS://Example.COM:8443/a/../B?x=1&y=%20#frag", &u, &e), 0);
	assert_string_equal(u.scheme, "https");
	assert_string_equal(u.host, "example.com");
	assert_int_equal(u.port, 8443);
	assert_false(u.port_default);
	assert_string_equal(u.path, "/a/../B");
	assert_string_equal(u.query, "x=1&y=%20");
	again = url_print(&u);
	assert_string_equal(again, "https://example.com:8443/a/../B?x=1&y=%20");
}

static void printing_gives_the_normal_form(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"http://h", "http://h/"},
		{"http://h:80", "http://h/"},
		{"https://h:443/x", "https://h/x"},
		{"https://h:80/x", "https://h:80/x"},
		{"http://[::1]:8080/", "http://[::1]:8080/"},
		{"http://[2001:DB8::1]", "http://[2001:db8::1]/"},
		{"http://h?", "http://h/?"},
		{"http://h?q#f", "http://h/?q"},
		{"http://1.2.3.4/", "http://1.2.3.4/"},
		{"http://my_host.local./x", "http://my_host.local./x"},
		{"http://h/\xc3\xa4", "http://h/\xc3\xa4"},
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(url_release) struct url u;
		cleanup(free_at) char *got = NULL;

		assert_int_equal(url_parse(cases[i].text, &u, &e), 0);
		got = url_print(&u);
		assert_string_equal(got, cases[i].want);
	}
}

static void wrong_urls_are_refused(void **state)
{
	static const char *const cases[] = {
		"",
		"h",
		"ftp://h/",
		"file:///etc/passwd",
		"http:/h",
		"http://",
		"http:///x",
		"http://:80/",
		"http://h:/",
		"http://h:0/",
		"http://h:65536/",
		"http://h:123456/",
		"http://h:8x/",
		"http://u@h/",
		"http://u:p@h/",
		"http://h@evil/",
		"http://a b/",
		"http://h/a b",
		"http://h/a\nb",
		"http://h/\x7f",
		" http://h/",
		"http://[::1/",
		"http://[::1]x/",
		"http://[h]/",
		"http://[::1%25lo]/",
		"http://::1/",
		"http://h%41/",
		"http://h\\evil/",
		"http://127.1/",
		"http://2130706433/",
		"http://0x7f.1/",
		"http://0x7f000001/",
		"http://1.2.3.256/",
		"http://1.2.3.4.5/",
		"http://\xc3\xa4/",
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < array_len(cases); i++) {
		struct url u;

		assert_int_equal(url_parse(cases[i], &u, &e), -EINVAL);
		url_release(&u);
	}
}

static void lengths_are_bounded(void **state)
{
	cleanup(free_at) char *text = mem_alloc(20000);
	struct err e;
	struct url u;

	(void)state;
	memset(text, 'a', 17000);
	memcpy(text, "http://h/", 9);
	assert_int_equal(url_parse(text, &u, &e), -EINVAL);
	text[16384] = 0;
	assert_int_equal(url_parse(text, &u, &e), 0);
	url_release(&u);
	memcpy(text, "http://ha", 9);
	text[7 + 256] = 0;
	assert_int_equal(url_parse(text, &u, &e), -EINVAL);
	text[7 + 255] = 0;
	assert_int_equal(url_parse(text, &u, &e), 0);
	url_release(&u);
}

static void errors_do_not_quote_the_url(void **state)
{
	struct err e;
	struct url u;

	(void)state;
	assert_int_equal(url_parse("http://me:PLANTED@h/?token=PLANTED", &u, &e), -EINVAL);
	assert_null(strstr(e.text, "PLANTED"));
}

static void query_parameters_are_found_and_dropped(void **state)
{
	static const char query[] = "a=1&b%62=x%20y&Expires=5&flag&&a=2&c=";
	static const char *const drop[] = {"Expires", "bb", "nothing"};
	static const char *const all[] = {"a", "bb", "Expires", "flag", "c"};
	cleanup(free_at) char *a = url_query_get(query, "a");
	cleanup(free_at) char *bb = url_query_get(query, "bb");
	cleanup(free_at) char *flag = url_query_get(query, "flag");
	cleanup(free_at) char *kept = url_query_without(query, drop, array_len(drop));

	(void)state;
	assert_string_equal(a, "1");
	assert_string_equal(bb, "x y");
	assert_string_equal(flag, "");
	assert_null(url_query_get(query, "expires"));
	assert_null(url_query_get(NULL, "a"));
	assert_null(url_query_get("a=%zz", "a"));
	assert_null(url_query_get("a=%00", "a"));
	assert_string_equal(kept, "a=1&flag&a=2&c=");
	assert_null(url_query_without(query, all, array_len(all)));
	assert_null(url_query_without(NULL, all, array_len(all)));
}

static void escapes_are_undone_and_made(void **state)
{
	char good[] = "a%2Fb%2fc+%C3%A4";
	char cut[] = "a%2", bad[] = "%g0", nul[] = "a%00b";
	cleanup(free_at) char *encoded = url_encode("a/b \xc3\xa4~-._?");

	(void)state;
	assert_true(url_decode(good));
	assert_string_equal(good, "a/b/c+\xc3\xa4");
	assert_false(url_decode(cut));
	assert_false(url_decode(bad));
	assert_false(url_decode(nul));
	assert_string_equal(encoded, "a%2Fb%20%C3%A4~-._%3F");
}

/* RFC 3986 section 5.4 (with base http://a/b/c/d;p?q), those that stay http. */
static void references_are_resolved_as_in_the_rfc(void **state)
{
	static const struct {
		const char *ref, *want;
	} cases[] = {
		{"g", "http://a/b/c/g"},
		{"./g", "http://a/b/c/g"},
		{"g/", "http://a/b/c/g/"},
		{"/g", "http://a/g"},
		{"//g", "http://g/"},
		{"?y", "http://a/b/c/d;p?y"},
		{"g?y", "http://a/b/c/g?y"},
		{"#s", "http://a/b/c/d;p?q"},
		{"g#s", "http://a/b/c/g"},
		{";x", "http://a/b/c/;x"},
		{"", "http://a/b/c/d;p?q"},
		{".", "http://a/b/c/"},
		{"./", "http://a/b/c/"},
		{"..", "http://a/b/"},
		{"../g", "http://a/b/g"},
		{"../..", "http://a/"},
		{"../../g", "http://a/g"},
		{"../../../g", "http://a/g"},
		{"/./g", "http://a/g"},
		{"/../g", "http://a/g"},
		{"g.", "http://a/b/c/g."},
		{"..g", "http://a/b/c/..g"},
		{"./../g", "http://a/b/g"},
		{"./g/.", "http://a/b/c/g/"},
		{"g/./h", "http://a/b/c/g/h"},
		{"g/../h", "http://a/b/c/h"},
		{"g?y/../x", "http://a/b/c/g?y/../x"},
		{"https://h/x", "https://h/x"},
		{"//h:81/x?y", "http://h:81/x?y"},
		{"g?x:y", "http://a/b/c/g?x:y"},
	};
	cleanup(url_release) struct url base;
	struct err e;

	(void)state;
	assert_int_equal(url_parse("http://a/b/c/d;p?q", &base, &e), 0);
	for (size_t i = 0; i < array_len(cases); i++) {
		cleanup(url_release) struct url u;
		cleanup(free_at) char *got = NULL;

		assert_int_equal(url_join(&base, cases[i].ref, &u, &e), 0);
		got = url_print(&u);
		assert_string_equal(got, cases[i].want);
	}
}

static void redirects_elsewhere_are_refused(void **state)
{
	static const char *const cases[] = {
		"ftp://h/", "file:///etc/passwd", "javascript:x", "//u@h/", "g:h", "/a b",
		"//",	    "x\r\nHost: y"};
	cleanup(url_release) struct url base;
	struct err e;

	(void)state;
	assert_int_equal(url_parse("http://a/b", &base, &e), 0);
	for (size_t i = 0; i < array_len(cases); i++) {
		struct url u;

		assert_int_equal(url_join(&base, cases[i], &u, &e), -EINVAL);
		url_release(&u);
	}
}

static void an_origin_is_scheme_host_and_port(void **state)
{
	static const char *const others[] = {"https://h/", "http://h:81/", "http://i/"};
	cleanup(url_release) struct url a, b;
	struct err e;

	(void)state;
	assert_int_equal(url_parse("http://h/x", &a, &e), 0);
	assert_int_equal(url_parse("HTTP://H:80/y?z", &b, &e), 0);
	assert_true(url_same_origin(&a, &b));
	for (size_t i = 0; i < array_len(others); i++) {
		cleanup(url_release) struct url c;

		assert_int_equal(url_parse(others[i], &c, &e), 0);
		assert_false(url_same_origin(&a, &c));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_taken),
		cmocka_unit_test(printing_gives_the_normal_form),
		cmocka_unit_test(wrong_urls_are_refused),
		cmocka_unit_test(lengths_are_bounded),
		cmocka_unit_test(errors_do_not_quote_the_url),
		cmocka_unit_test(query_parameters_are_found_and_dropped),
		cmocka_unit_test(escapes_are_undone_and_made),
		cmocka_unit_test(references_are_resolved_as_in_the_rfc),
		cmocka_unit_test(redirects_elsewhere_are_refused),
		cmocka_unit_test(an_origin_is_scheme_host_and_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
