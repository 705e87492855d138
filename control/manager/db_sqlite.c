/* sqlite behind db_driver.h. Must not know: what the tables mean. */
#include "control/manager/db_driver.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>

static int fail(sqlite3 *conn, struct err *e)
{
	int code = sqlite3_extended_errcode(conn);
	const char *text = sqlite3_errmsg(conn);

	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
		return err_set(e, EEXIST, "%s", text);
	case SQLITE_BUSY:
		return err_set(e, EDEADLK, "%s", text);
	default:
		if ((code & 0xff) == SQLITE_CONSTRAINT)
			return err_set(e, EINVAL, "%s", text);
		return err_set(e, EIO, "%s", text);
	}
}

static int run(void *conn, const char *sql, struct err *e)
{
	return sqlite3_exec(conn, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(conn, e);
}

static void sqlite_close_at(sqlite3 **conn)
{
	sqlite3_close(*conn);
}

static int connect_to(const struct db_config *c, void **conn_out, struct err *e)
{
	sqlite3 *conn cleanup(sqlite_close_at) = NULL;
	int r;

	if (sqlite3_open(c->path, &conn) != SQLITE_OK)
		return err_set(e, EIO, "open database: %s",
			       conn ? sqlite3_errmsg(conn) : "out of memory");
	sqlite3_busy_timeout(conn, DB_LOCK_S * 1000);
	r = run(conn,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		"PRAGMA foreign_keys = ON",
		e);
	if (r < 0)
		return r;
	*conn_out = take_ptr(&conn);
	return 0;
}

static void disconnect(void *conn)
{
	sqlite3_close(conn);
}

static bool is_alive(void *conn)
{
	(void)conn;
	return true;
}

static void words(void *conn, struct db_words *out)
{
	(void)conn;
	*out = (struct db_words){
		.id = "INTEGER PRIMARY KEY",
		.number = "INTEGER",
		.word = "TEXT",
		.name = "TEXT",
		.text = "TEXT",
		.end = "",
		.end_keyed = " WITHOUT ROWID",
	};
}

static int bind(sqlite3_stmt *stmt, const struct db_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int at = (int)i + 1;
		int r = values[i].is_text
				? sqlite3_bind_text(stmt, at, values[i].text, -1, SQLITE_TRANSIENT)
				: sqlite3_bind_int64(stmt, at, values[i].number);

		if (r != SQLITE_OK)
			return r;
	}
	return SQLITE_OK;
}

static int start(void *conn, const char *sql, const struct db_value *values, size_t count,
		 void **rows_out, struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(conn, sql, -1, &stmt, NULL) != SQLITE_OK ||
	    bind(stmt, values, count) != SQLITE_OK)
		r = fail(conn, e);
	if (r < 0)
		sqlite3_finalize(stmt);
	else
		*rows_out = stmt;
	return r;
}

static int next(void *rows, struct err *e)
{
	switch (sqlite3_step(rows)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return fail(sqlite3_db_handle(rows), e);
	}
}

static const char *text(void *rows, int column)
{
	return (const char *)sqlite3_column_text(rows, column);
}

static int64_t changed(void *rows)
{
	return sqlite3_changes(sqlite3_db_handle(rows));
}

static void end(void *rows)
{
	sqlite3_finalize(rows);
}

static int begin(void *conn, struct err *e)
{
	return run(conn, "BEGIN IMMEDIATE", e);
}

/* ROLLBACK fails where sqlite has rolled back by itself, which is as good. */
static int finish(void *conn, bool commit, struct err *e)
{
	int r = commit ? run(conn, "COMMIT", e) : 0;

	if (!commit || r < 0)
		sqlite3_exec(conn, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

static int backup(void *conn, const char *path, struct err *e)
{
	const struct db_value value = {.is_text = true, .text = path};
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	void *rows = NULL;
	int r;

	if (fd < 0)
		return err_set(e, errno, "make %s", path);
	close(fd);
	r = start(conn, "VACUUM INTO ?", &value, 1, &rows, e);
	if (r < 0)
		return r;
	r = next(rows, e);
	end(rows);
	return r;
}

const struct db_driver db_sqlite = {
	.version_get = "PRAGMA user_version",
	.version_set = "PRAGMA user_version = ",
	.now = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
	.connect = connect_to,
	.close = disconnect,
	.is_alive = is_alive,
	.words = words,
	.run = run,
	.start = start,
	.next = next,
	.text = text,
	.changed = changed,
	.end = end,
	.begin = begin,
	.finish = finish,
	.migrate_begin = begin,
	.migrate_finish = finish,
	.backup = backup,
};
