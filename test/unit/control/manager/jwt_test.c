/* Tokens: signed by the newest key, good as long as they live, and by nobody else. */
#include "control/manager/jwt.h"

#include "../../unit.h"
#include "base/mem.h"
#include "control/manager/db.h"
#include "control/manager/vault.h"

#include <errno.h>
#include <string.h>

static const struct jwt_config config = {
	.life_ms = 3600 * 1000, .refresh_ms = 7200 * 1000, .rotate_ms = 86400 * 1000};

struct world {
	char dir[32], key[64];
	struct db *db;
	struct vault *vault;
	struct jwt *jwt;
};

static int set_up(void **state)
{
	struct world *w = mem_new(struct world);

	snprintf(w->dir, sizeof(w->dir), "/tmp/skimmer-jwt-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->key, sizeof(w->key), "%s/key", w->dir);
	assert_int_equal(db_open(":memory:", &w->db, NULL), 0);
	assert_int_equal(vault_open(w->key, &w->vault, NULL), 0);
	assert_int_equal(jwt_open(&config, w->db, w->vault, &w->jwt, NULL), 0);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	jwt_free(w->jwt);
	vault_free(w->vault);
	db_close(w->db);
	unlink(w->key);
	rmdir(w->dir);
	free(w);
	return 0;
}

static char *issue(struct jwt *j, int64_t user, int64_t orig_iat_s)
{
	struct jwt_claims c = {.user_id = user, .generation = 4, .orig_iat_s = orig_iat_s};
	char *token = NULL;

	assert_int_equal(jwt_issue(j, &c, &token, NULL), 0);
	return token;
}

static void what_was_issued_is_verified(void **state)
{
	struct world *w = *state;
	char *token cleanup(free_at) = issue(w->jwt, 7, 0);
	struct jwt_claims c = {0};

	assert_true(jwt_verify(w->jwt, token, false, &c));
	assert_int_equal(c.user_id, 7);
	assert_int_equal(c.generation, 4);
	assert_true(c.exp_s - c.orig_iat_s == 3600);
}

static void a_changed_byte_anywhere_is_refused(void **state)
{
	struct world *w = *state;
	char *token cleanup(free_at) = issue(w->jwt, 7, 0);
	struct jwt_claims c;

	for (size_t i = 0; token[i]; i++) {
		char was = token[i];

		token[i] = was == 'A' ? 'B' : 'A';
		assert_false(jwt_verify(w->jwt, token, false, &c));
		token[i] = was;
	}
	for (size_t i = 0; i < strlen(token); i++) {
		char *part cleanup(free_at) = mem_strndup(token, i);

		assert_false(jwt_verify(w->jwt, part, false, &c));
	}
}

static void a_token_is_refreshed_for_a_time_after_signing_in(void **state)
{
	struct world *w = *state;
	struct jwt_claims c;
	char *fresh cleanup(free_at) = issue(w->jwt, 7, 0);
	char *old cleanup(free_at) = issue(w->jwt, 7, 1000);

	assert_true(jwt_verify(w->jwt, fresh, true, &c));
	assert_true(jwt_verify(w->jwt, old, false, &c));
	assert_false(jwt_verify(w->jwt, old, true, &c));
}

static int64_t count_keys(struct db *db)
{
	int64_t n = 0;

	assert_int_equal(db_number(db, &n, NULL, "SELECT COUNT(*) FROM signing_keys", ""), 0);
	return n;
}

static void an_old_key_is_followed_by_a_new_one_and_still_good(void **state)
{
	struct world *w = *state;
	char *token cleanup(free_at) = issue(w->jwt, 7, 0);
	struct jwt *next = NULL;
	struct jwt_claims c;

	assert_int_equal(db_run(w->db, NULL, NULL,
				"UPDATE signing_keys SET created_ms = created_ms - ?", "i",
				config.rotate_ms + 1),
			 0);
	assert_int_equal(jwt_open(&config, w->db, w->vault, &next, NULL), 0);
	assert_int_equal(count_keys(w->db), 2);
	assert_true(jwt_verify(next, token, false, &c));
	char *newer cleanup(free_at) = issue(next, 7, 0);
	assert_true(strncmp(token, newer, strcspn(token, ".")) != 0); /* another kid */
	jwt_free(next);
}

static void a_key_that_nothing_living_needs_is_gone(void **state)
{
	struct world *w = *state;
	char *token cleanup(free_at) = issue(w->jwt, 7, 0);
	struct jwt *next = NULL;
	struct jwt_claims c;

	assert_int_equal(db_run(w->db, NULL, NULL, "UPDATE signing_keys SET created_ms = 1", ""),
			 0);
	assert_int_equal(jwt_open(&config, w->db, w->vault, &next, NULL), 0);
	assert_int_equal(count_keys(w->db), 1);
	assert_false(jwt_verify(next, token, false, &c));
	jwt_free(next);
}

static void keys_lie_sealed_and_open_with_their_key_file_alone(void **state)
{
	struct world *w = *state;
	struct vault *other = NULL;
	struct jwt *next = NULL;
	struct err e = {0};
	char path[80];

	snprintf(path, sizeof(path), "%s/other", w->dir);
	assert_int_equal(vault_open(path, &other, NULL), 0);
	assert_int_equal(jwt_open(&config, w->db, other, &next, &e), -EBADMSG);
	assert_non_null(strstr(e.text, "another key file"));
	vault_free(other);
	unlink(path);
}

static void a_given_key_signs_without_a_database(void **state)
{
	struct jwt_config given = config;
	struct jwt *j = NULL, *k = NULL;
	struct jwt_claims c;

	(void)state;
	given.key = "0123456789abcdef";
	assert_int_equal(jwt_open(&given, NULL, NULL, &j, NULL), 0);
	given.key = "0123456789abcdeF";
	assert_int_equal(jwt_open(&given, NULL, NULL, &k, NULL), 0);
	char *token cleanup(free_at) = issue(j, 7, 0);
	assert_true(jwt_verify(j, token, false, &c));
	assert_false(jwt_verify(k, token, false, &c));
	jwt_free(j);
	jwt_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_issued_is_verified, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_changed_byte_anywhere_is_refused, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_token_is_refreshed_for_a_time_after_signing_in,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_old_key_is_followed_by_a_new_one_and_still_good,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_key_that_nothing_living_needs_is_gone, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(keys_lie_sealed_and_open_with_their_key_file_alone,
						set_up, tear_down),
		cmocka_unit_test(a_given_key_signs_without_a_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
