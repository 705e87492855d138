/* The database file: first rows, migration, constraints. */
#include "control/manager/db.h"

#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void remove_database(const char *path)
{
	char beside[80];

	snprintf(beside, sizeof(beside), "%s-wal", path);
	unlink(beside);
	snprintf(beside, sizeof(beside), "%s-shm", path);
	unlink(beside);
	unlink(path);
}

/* What a new database has. */
static int64_t number_of_versions(void)
{
	struct db *db = NULL;
	int64_t n = 0;

	assert_int_equal(db_open(":memory:", &db, NULL), 0);
	assert_int_equal(db_number(db, &n, NULL, "PRAGMA user_version", ""), 0);
	db_close(db);
	return n;
}

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

/* Makes a database of an earlier version from its dump. */
static void make_version(int version, const char *path)
{
	char file[512], *dump;
	sqlite3 *sqlite = NULL;
	long len;
	FILE *f;

	snprintf(file, sizeof(file), "%.*s/versions/%d.sql",
		 (int)(strrchr(__FILE__, '/') - __FILE__), __FILE__, version);
	f = fopen(file, "r");
	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	len = ftell(f);
	rewind(f);
	dump = mem_alloc((size_t)len + 1);
	assert_int_equal(fread(dump, 1, (size_t)len, f), len);
	fclose(f);
	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, dump, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sqlite);
	free(dump);
}

static int64_t number(struct db *db, const char *sql)
{
	int64_t n = -1;

	assert_int_equal(db_number(db, &n, NULL, sql, ""), 0);
	return n;
}

static void every_earlier_version_is_lifted_and_keeps_its_rows(void **state)
{
	char dir[] = "/tmp/skimmer-db-XXXXXX", path[64];
	struct db *db = NULL;
	int64_t now = number_of_versions();

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (int64_t version = 1; version < now; version++) {
		snprintf(path, sizeof(path), "%s/%d.db", dir, (int)version);
		make_version((int)version, path);
		assert_int_equal(db_open(path, &db, NULL), 0);
		assert_int_equal(number(db, "PRAGMA user_version"), now);
		assert_int_equal(number(db, "SELECT COUNT(*) FROM schedulers"), 1);
		assert_int_equal(number(db, "SELECT COUNT(*) FROM seed_peers"), 1);
		assert_int_equal(number(db, "SELECT COUNT(*) FROM users"), version > 1);
		assert_int_equal(number(db, "SELECT created_ms FROM applications"), 1700000000000);
		assert_int_equal(number(db, "SELECT COUNT(*) FROM pragma_foreign_key_check"), 0);
		db_close(db);
		remove_database(path);
	}
	rmdir(dir);
}

static void a_change_of_several_rows_is_all_or_nothing(void **state)
{
	struct db *db = NULL;
	struct err e = {0};
	int r;

	(void)state;
	assert_int_equal(db_open(":memory:", &db, &e), 0);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(db_run(db, NULL, &e, "UPDATE scheduler_clusters SET bio = 'lost'", ""), 0);
	r = db_run(db, NULL, &e, "INSERT INTO cluster_links VALUES (1, 999)", "");
	assert_int_equal(r, -EINVAL);
	assert_int_equal(db_finish(db, r, &e), -EINVAL);
	assert_int_equal(number(db, "SELECT COUNT(*) FROM scheduler_clusters WHERE bio = 'lost'"),
			 0);
	assert_int_equal(db_begin(db, &e), 0);
	assert_int_equal(db_run(db, NULL, &e, "UPDATE scheduler_clusters SET bio = 'kept'", ""), 0);
	assert_int_equal(db_finish(db, 0, &e), 0);
	assert_int_equal(number(db, "SELECT COUNT(*) FROM scheduler_clusters WHERE bio = 'kept'"),
			 1);
	db_close(db);
}

static void a_backup_is_a_database_and_overwrites_nothing(void **state)
{
	char dir[] = "/tmp/skimmer-db-XXXXXX", path[64];
	struct db *db = NULL, *copy = NULL;
	struct err e = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/copy.db", dir);
	assert_int_equal(db_open(":memory:", &db, &e), 0);
	assert_int_equal(db_backup(db, path, &e), 0);
	assert_int_equal(db_backup(db, path, &e), -EEXIST);
	assert_int_equal(db_open(path, &copy, &e), 0);
	assert_int_equal(number(copy, "SELECT COUNT(*) FROM scheduler_clusters"), 1);
	db_close(copy);
	db_close(db);
	remove_database(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_with_quotes_stays_text),
		cmocka_unit_test(duplicates_are_eexist),
		cmocka_unit_test(second_open_keeps_rows_and_a_newer_file_is_refused),
		cmocka_unit_test(a_file_that_is_no_database_is_refused),
		cmocka_unit_test(every_earlier_version_is_lifted_and_keeps_its_rows),
		cmocka_unit_test(a_change_of_several_rows_is_all_or_nothing),
		cmocka_unit_test(a_backup_is_a_database_and_overwrites_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
