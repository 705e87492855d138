#include "test/unit/unit.h"

#include "base/mem.h"
#include "daemon/docker_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/skimmer_docker_config_XXXXXX";
static char file[64];

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/config.json", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(dir);
}

/* Another inode each time, as those who write this file do it. */
static void write_file(const char *text)
{
	cleanup(free_at) char *fresh = mem_printf("%s.new", file);
	FILE *f = fopen(fresh, "we");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(rename(fresh, file), 0);
}

static bool find(struct docker_config *d, const char *url, const char *repository,
		 struct docker_credential *c)
{
	cleanup(url_release) struct url u = {0};
	struct err e;

	assert_int_equal(url_parse(url, &u, &e), 0);
	return docker_config_find(d, &u, repository, c);
}

static void assert_user(struct docker_config *d, const char *url, const char *repository,
			const char *user)
{
	cleanup(docker_credential_release) struct docker_credential c;

	assert_int_equal(find(d, url, repository, &c), user != NULL);
	if (user)
		assert_string_equal(c.user, user);
	else
		assert_null(c.user);
}

static void all_kinds_of_secrets_are_read(void **state)
{
	struct docker_config *d = docker_config_new(file);
	struct docker_credential c;

	(void)state;
	write_file("{\"auths\": {"
		   "\"a\": {\"auth\": \"dXNlcjpwYTpzcw==\"},"
		   "\"b\": {\"username\": \"bob\", \"password\": \"pw\"},"
		   "\"c\": {\"auth\": \"dXNlcjo=\", \"identitytoken\": \"id\"},"
		   "\"d\": {\"registrytoken\": \"reg\"},"
		   "\"e\": {}, \"f\": {\"auth\": \"not base64!\"}, \"g\": \"text\","
		   "\"h\": {\"auth\": \"dXNlcg==\"}},"
		   "\"credsStore\": \"desktop\"}");
	assert_true(find(d, "https://a/v2/", "", &c));
	assert_string_equal(c.user, "user");
	assert_string_equal(c.password, "pa:ss");
	assert_null(c.identity_token);
	docker_credential_release(&c);
	assert_true(find(d, "https://b/", "", &c));
	assert_string_equal(c.user, "bob");
	assert_string_equal(c.password, "pw");
	docker_credential_release(&c);
	assert_true(find(d, "https://c/", "", &c));
	assert_string_equal(c.identity_token, "id");
	docker_credential_release(&c);
	assert_true(find(d, "https://d/", "", &c));
	assert_string_equal(c.registry_token, "reg");
	docker_credential_release(&c);
	assert_false(find(d, "https://e/", "", &c));
	assert_false(find(d, "https://f/", "", &c));
	assert_false(find(d, "https://g/", "", &c));
	assert_false(find(d, "https://h/", "", &c)); /* no colon */
	assert_false(find(d, "https://i/", "", &c));
	docker_config_free(d);
}

static void keys_fit_in_all_their_spellings(void **state)
{
	struct docker_config *d = docker_config_new(file);

	(void)state;
	write_file("{\"auths\": {"
		   "\"https://Plain.Example/v2/\": {\"username\": \"plain\"},"
		   "\"port.example:5000\": {\"username\": \"port\"},"
		   "\"std.example:443\": {\"username\": \"std\"},"
		   "\"quay.example\": {\"username\": \"all\"},"
		   "\"quay.example/org\": {\"username\": \"org\"},"
		   "\"quay.example/org/team\": {\"username\": \"team\"},"
		   "\"[::1]:5000\": {\"username\": \"six\"},"
		   "\"https://index.docker.io/v1/\": {\"username\": \"hub\"}}}");
	assert_user(d, "https://plain.example/v2/x", "x", "plain");
	assert_user(d, "http://port.example:5000/", "x", "port");
	assert_user(d, "http://port.example/", "x", NULL);
	assert_user(d, "https://std.example/", "x", "std");
	assert_user(d, "http://std.example/", "x", NULL);
	assert_user(d, "https://quay.example/", "", "all");
	assert_user(d, "https://quay.example/", "organic/x", "all");
	assert_user(d, "https://quay.example/", "org/x", "org");
	assert_user(d, "https://quay.example/", "org/team/x", "team");
	assert_user(d, "http://[::1]:5000/", "x", "six");
	assert_user(d, "https://registry-1.docker.io/", "library/x", "hub");
	assert_user(d, "https://evil.example/", "quay.example/org", NULL);
	docker_config_free(d);
}

static void changes_are_noticed(void **state)
{
	struct docker_config *d = docker_config_new(file);

	(void)state;
	unlink(file);
	assert_user(d, "https://a/", "", NULL);
	write_file("{\"auths\": {\"a\": {\"username\": \"one\"}}}");
	assert_user(d, "https://a/", "", "one");
	write_file("{\"auths\": {\"a\": {\"username\": \"two\"}}}");
	assert_user(d, "https://a/", "", "two");
	write_file("{\"auths\": broken");
	assert_user(d, "https://a/", "", NULL);
	write_file("{\"auths\": {\"a\": {\"username\": \"three\"}}}");
	assert_user(d, "https://a/", "", "three");
	unlink(file);
	assert_user(d, "https://a/", "", NULL);
	docker_config_free(d);
}

static void odd_files_mean_no_credentials(void **state)
{
	static const char *const texts[] = {"[]", "{}",	  "{\"auths\": []}",
					    "",	  "null", "{\"auths\": {\"a\": {\"auth\": 7}}}"};
	struct docker_config *none = docker_config_new(NULL);
	struct docker_config *folder = docker_config_new(dir);

	(void)state;
	for (size_t i = 0; i < array_len(texts); i++) {
		struct docker_config *d = docker_config_new(file);

		write_file(texts[i]);
		assert_user(d, "https://a/", "", NULL);
		docker_config_free(d);
	}
	assert_user(none, "https://a/", "", NULL);
	assert_user(folder, "https://a/", "", NULL);
	docker_config_free(none);
	docker_config_free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds_of_secrets_are_read),
		cmocka_unit_test(keys_fit_in_all_their_spellings),
		cmocka_unit_test(changes_are_noticed),
		cmocka_unit_test(odd_files_mean_no_credentials),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
