/* Whom we trust and where we go: through the origin's own functions, over real sockets. */
#include "test/unit/unit.h"

#include "base/clock.h"
#include "daemon/origin.h"
#include "test/unit/daemon/fake_http.h"
#include "test/unit/daemon/fake_tls.h"

#include <signal.h>

static struct fake_ca *ca;
static struct fake_http *plain;

static bool answer(struct fake_conn *c, void *arg)
{
	char location[600];

	/* "/to/<URL>" */
	if (strncmp(c->target, "/to/", 4) == 0) {
		snprintf(location, sizeof(location), "Location: %s\r\n", c->target + 4);
		return fake_reply(c, "302 Off", location, "");
	}
	(void)arg;
	return fake_file(c, 1000, "");
}

static int set_up(void **state)
{
	(void)state;
	/* OpenSSL writes to sockets that the other end has closed. */
	signal(SIGPIPE, SIG_IGN);
	ca = fake_ca_new();
	plain = fake_start(answer, NULL, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fake_stop(plain);
	fake_ca_free(ca);
	return 0;
}

static int stat_url(const struct origin_config *config, const char *url,
		    const struct config_pairs *headers, struct err *e)
{
	struct origin_request rq = {
		.url = url, .headers = headers, .deadline_ms = clock_ms() + 30000};
	struct origin_info info = {0};
	struct origin *o;
	int r;

	*e = (struct err){0};
	assert_int_equal(origin_new(config, &o, e), 0);
	r = origin_stat(o, &rq, &info, e);
	origin_info_release(&info);
	origin_free(o);
	return r;
}

/* Reads from a server with such a certificate; want 0 or a code with a text. */
static void assert_tls(const char *san, long from_s, long to_s, const struct origin_config *config,
		       int want, const char *text)
{
	SSL_CTX *tls = fake_tls_new(ca, san, from_s, to_s);
	struct fake_http *f = fake_start(answer, NULL, tls);
	cleanup(free_at) char *url = fake_at(f, "/x");
	struct err e;

	assert_int_equal(stat_url(config, url, NULL, &e), -want);
	if (want) {
		assert_non_null(strstr(e.text, text));
		assert_int_equal(f->conn_count, 1); /* not tried again */
	}
	assert_int_equal(fake_count(f), want ? 0 : 1);
	fake_stop(f);
	SSL_CTX_free(tls);
}

static void own_authority_is_trusted(void **state)
{
	struct origin_config config = {.ca_file = ca->path};

	(void)state;
	assert_tls("IP:127.0.0.1", -3600, 3600, &config, 0, NULL);
}

static void bad_certificates_are_refused(void **state)
{
	struct origin_config ours = {.ca_file = ca->path, .retries_max = 2};
	struct origin_config systems = {.retries_max = 2};

	(void)state;
	assert_tls("IP:127.0.0.1", -3600, 3600, &systems, EHOSTUNREACH, "certificate");
	assert_tls("DNS:other.example", -3600, 3600, &ours, EHOSTUNREACH, "certificate");
	assert_tls("IP:127.0.0.2", -3600, 3600, &ours, EHOSTUNREACH, "certificate");
	assert_tls("IP:127.0.0.1", -7200, -3600, &ours, EHOSTUNREACH, "expired");
	assert_tls("IP:127.0.0.1", 3600, 7200, &ours, EHOSTUNREACH, "not yet valid");
}

static void checks_can_be_switched_off(void **state)
{
	struct origin_config config = {.insecure_skip_verify = true};

	(void)state;
	assert_tls("DNS:other.example", -7200, -3600, &config, 0, NULL);
}

static void authority_file_must_hold_one(void **state)
{
	static const char *const files[] = {"/nonexistent", "/dev/null", "/etc/passwd"};

	(void)state;
	for (size_t i = 0; i < array_len(files); i++) {
		struct origin_config config = {.ca_file = files[i]};
		struct origin *o;
		struct err e = {0};

		assert_int_equal(origin_new(&config, &o, &e), -EINVAL);
		assert_non_null(strstr(e.text, files[i]));
	}
}

static void scheme_is_part_of_the_origin(void **state)
{
	struct {
		char *name, *value;
	} header = {(char *)"Authorization", (char *)"Bearer s3cret"};
	struct config_pairs pairs = {.items = (void *)&header, .count = 1};
	struct origin_config config = {.ca_file = ca->path};
	SSL_CTX *tls = fake_tls_new(ca, "IP:127.0.0.1", -3600, 3600);
	struct fake_http *f = fake_start(answer, NULL, tls);
	cleanup(free_at) char *up = mem_printf("%s/to/%s/x", plain->url, f->url);
	cleanup(free_at) char *down = mem_printf("%s/to/%s/x", f->url, plain->url);
	cleanup(free_at) char *up_and_down =
		mem_printf("%s/to/%s/to/%s/x", plain->url, f->url, plain->url);
	struct err e;

	(void)state;
	assert_int_equal(stat_url(&config, up, &pairs, &e), 0);
	assert_false(fake_saw(f, "s3cret"));
	assert_int_equal(stat_url(&config, down, &pairs, &e), -EPROTO);
	assert_non_null(strstr(e.text, "from https to http"));
	/* Who asked by http has no privacy to lose. */
	assert_int_equal(stat_url(&config, up_and_down, &pairs, &e), 0);
	fake_stop(f);
	SSL_CTX_free(tls);
}

static void addresses_of_the_hosts_innards_are_refused(void **state)
{
	static const char *const urls[] = {"http://169.254.169.254/latest",
					   "http://0.0.0.0/",
					   "http://[fe80::1]/",
					   "http://[::ffff:169.254.169.254]/",
					   "http://[::]/",
					   "http://224.0.0.1/",
					   "http://2852039166/",
					   "http://0xa9fea9fe/"};
	struct origin_config config = {.retries_max = 3};

	(void)state;
	for (size_t i = 0; i < array_len(urls); i++) {
		int64_t start = clock_ms();
		struct err e;
		int r = stat_url(&config, urls[i], NULL, &e);

		assert_int_equal(r, i < 6 ? -EACCES : -EINVAL);
		assert_true(clock_ms() - start < 20000);
	}
}

static void names_are_resolved(void **state)
{
	struct origin_config config = {0};
	cleanup(free_at) char *url = mem_printf("http://localhost:%u/x", plain->port);
	struct err e;

	(void)state;
	assert_int_equal(stat_url(&config, url, NULL, &e), 0);
}

static void environment_changes_nothing(void **state)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy",
					    "ALL_PROXY"};
	struct origin_config config = {0};
	cleanup(free_at) char *url = fake_at(plain, "/x");
	struct err e;

	(void)state;
	for (size_t i = 0; i < array_len(names); i++)
		setenv(names[i], "http://127.0.0.1:1", 1);
	assert_int_equal(stat_url(&config, url, NULL, &e), 0);
	for (size_t i = 0; i < array_len(names); i++)
		unsetenv(names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_authority_is_trusted),
		cmocka_unit_test(bad_certificates_are_refused),
		cmocka_unit_test(checks_can_be_switched_off),
		cmocka_unit_test(authority_file_must_hold_one),
		cmocka_unit_test(scheme_is_part_of_the_origin),
		cmocka_unit_test(addresses_of_the_hosts_innards_are_refused),
		cmocka_unit_test(names_are_resolved),
		cmocka_unit_test(environment_changes_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
