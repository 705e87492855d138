/* The database file: first rows, migration, constraints. */
#include "control/manager/db.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void text_with_quotes_stays_text(void **state)
{
	const char *nasty = "x'); DROP TABLE schedulers; --";
	struct db *db = NULL;
	struct query q;

	(void)state;
	assert_int_equal(db_open(":memory:", &db, NULL), 0);
	assert_int_equal(db_run(db, NULL, NULL,
				"UPDATE scheduler_clusters SET bio = ? WHERE id = ?", "si", nasty,
				(int64_t)1),
			 0);
	query_start(db, &q, NULL, "SELECT bio FROM scheduler_clusters", "");
	assert_true(query_next(&q));
	assert_string_equal(query_text(&q, 0), nasty);
	assert_int_equal(query_end(&q), 0);
	db_close(db);
}

static void duplicates_are_eexist(void **state)
{
	struct db *db = NULL;
	struct err e = {0};

	(void)state;
	assert_int_equal(db_open(":memory:", &db, &e), 0);
	assert_int_equal(db_run(db, NULL, &e,
				"INSERT INTO scheduler_clusters (name, created_ms, updated_ms)"
				" VALUES ('cluster-1', 0, 0)",
				""),
			 -EEXIST);
	assert_non_null(strstr(e.text, "scheduler_clusters.name"));
	db_close(db);
}

static void second_open_keeps_rows_and_a_newer_file_is_refused(void **state)
{
	char path[] = "/tmp/skimmer-db-XXXXXX";
	int fd = mkstemp(path);
	struct db *db = NULL;
	struct err e = {0};

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(db_open(path, &db, &e), 0);
	assert_int_equal(db_run(db, NULL, &e, "UPDATE scheduler_clusters SET bio = 'kept'", ""), 0);
	db_close(db);
	assert_int_equal(db_open(path, &db, &e), 0);
	struct query q;
	query_start(db, &q, &e, "SELECT bio FROM scheduler_clusters", "");
	assert_true(query_next(&q));
	assert_string_equal(query_text(&q, 0), "kept");
	assert_int_equal(query_end(&q), 0);
	assert_int_equal(db_run(db, NULL, &e, "PRAGMA user_version = 1000", ""), 0);
	db_close(db);
	assert_int_equal(db_open(path, &db, &e), -EPROTO);
	assert_non_null(strstr(e.text, "version 1000"));
	unlink(path);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	char path[] = "/tmp/skimmer-db-XXXXXX";
	int fd = mkstemp(path);
	struct db *db = NULL;
	struct err e = {0};

	(void)state;
	assert_true(fd >= 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(fd, "this is no database at all\n", 27), 27);
	close(fd);
	assert_int_equal(db_open(path, &db, &e), -EIO);
	assert_non_null(strstr(e.text, path));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_with_quotes_stays_text),
		cmocka_unit_test(duplicates_are_eexist),
		cmocka_unit_test(second_open_keeps_rows_and_a_newer_file_is_refused),
		cmocka_unit_test(a_file_that_is_no_database_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
