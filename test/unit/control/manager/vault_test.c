/* Secrets at rest, passwords, and the letters they are written in. */
#include "control/manager/vault.h"

#include "../../unit.h"
#include "base/mem.h"
#include "control/manager/base64url.h"
#include "control/manager/password.h"

#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void text_comes_back_only_whole_and_in_its_place(void **state)
{
	char dir[] = "/tmp/skimmer-vault-XXXXXX", file[64];
	struct vault *v = NULL, *again = NULL;
	char *sealed, *twice, *text = NULL;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/key", dir);
	assert_int_equal(vault_open(file, &v, NULL), 0);
	assert_int_equal(vault_open(file, &again, NULL), 0);
	sealed = vault_seal(v, "here", "the secret");
	twice = vault_seal(v, "here", "the secret");
	assert_null(strstr(sealed, "secret"));
	assert_string_not_equal(sealed, twice);
	assert_int_equal(vault_open_text(again, "here", sealed, &text, NULL), 0);
	assert_string_equal(text, "the secret");
	assert_int_equal(vault_open_text(v, "there", sealed, &text, NULL), -EBADMSG);
	for (size_t i = 0; sealed[i]; i++) {
		char was = sealed[i];

		sealed[i] = was == 'A' ? 'B' : 'A';
		assert_int_equal(vault_open_text(v, "here", sealed, &text, NULL), -EBADMSG);
		sealed[i] = was;
	}
	assert_int_equal(vault_open_text(v, "here", "", &text, NULL), -EBADMSG);
	free(sealed);
	free(twice);
	free(text);
	vault_free(v);
	vault_free(again);
	unlink(file);
	rmdir(dir);
}

static void a_key_file_is_ours_alone_and_a_key(void **state)
{
	char dir[] = "/tmp/skimmer-vault-XXXXXX", file[64];
	struct vault *v = NULL;
	struct stat st;
	struct err e = {0};
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/key", dir);
	assert_int_equal(vault_open(file, &v, NULL), 0);
	vault_free(v);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(chmod(file, 0644), 0);
	assert_int_equal(vault_open(file, &v, &e), -EPERM);
	assert_non_null(strstr(e.text, "chmod 600"));
	assert_int_equal(chmod(file, 0600), 0);
	f = fopen(file, "w");
	assert_non_null(f);
	fputs("short", f);
	fclose(f);
	assert_int_equal(vault_open(file, &v, &e), -EINVAL);
	unlink(file);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(vault_open(file, &v, &e), -ENOENT);
}

/* 0, or what vault_open() says to a user and group of these numbers. */
static int open_as(const char *file, unsigned id)
{
	pid_t child = fork();
	int status = 0;

	if (child == 0) {
		struct vault *v = NULL;

		if (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 ||
		    setresuid(id, id, id) < 0)
			_exit(100);
		_exit(-vault_open(file, &v, NULL));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void a_key_file_of_roots_may_be_read_by_our_group(void **state)
{
	char dir[] = "/tmp/skimmer-vault-XXXXXX", file[64];
	struct vault *v = NULL;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0711), 0);
	snprintf(file, sizeof(file), "%s/key", dir);
	assert_int_equal(vault_open(file, &v, NULL), 0);
	vault_free(v);
	assert_int_equal(chown(file, 0, 65532), 0);
	assert_int_equal(chmod(file, 0440), 0);
	assert_int_equal(open_as(file, 65532), 0);
	assert_int_equal(vault_open(file, &v, NULL), -EPERM); /* root needs no group */
	assert_int_equal(chmod(file, 0444), 0);
	assert_int_equal(open_as(file, 65532), -EPERM);
	assert_int_equal(chmod(file, 0460), 0);
	assert_int_equal(open_as(file, 65532), -EPERM);
	assert_int_equal(chown(file, 65532, 65532), 0);
	assert_int_equal(chmod(file, 0440), 0);
	assert_int_equal(open_as(file, 65532), -EPERM);
	unlink(file);
	rmdir(dir);
}

static void a_password_fits_its_hash_and_no_other(void **state)
{
	char *hash cleanup(free_at) = password_hash("correct horse");
	char *again cleanup(free_at) = password_hash("correct horse");

	(void)state;
	assert_int_equal(strncmp(hash, "$y$", 3), 0);
	assert_string_not_equal(hash, again);
	assert_true(password_fits("correct horse", hash));
	assert_false(password_fits("correct horsE", hash));
	assert_false(password_fits("", hash));
	assert_false(password_fits("x", "!"));
	assert_false(password_fits("x", NULL));
}

static void base64url_has_one_spelling(void **state)
{
	static const char *const bad[] = {"A", "AB=", "A+", "A/", "AB", "AAB", "A A", "AAAAA"};
	struct buf out cleanup(buf_release) = BUF_INIT(64);

	(void)state;
	for (size_t len = 0; len < 20; len++) {
		char *text cleanup(free_at) = base64url_encode("\xff\x00 any bytes at all", len);

		buf_clear(&out);
		assert_true(base64url_decode(text, strlen(text), &out));
		assert_int_equal(out.len, len);
		assert_true(!len || memcmp(out.data, "\xff\x00 any bytes at all", len) == 0);
	}
	for (size_t i = 0; i < array_len(bad); i++)
		assert_false(base64url_decode(bad[i], strlen(bad[i]), &out));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_comes_back_only_whole_and_in_its_place),
		cmocka_unit_test(a_key_file_is_ours_alone_and_a_key),
		cmocka_unit_test(a_key_file_of_roots_may_be_read_by_our_group),
		cmocka_unit_test(a_password_fits_its_hash_and_no_other),
		cmocka_unit_test(base64url_has_one_spelling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
