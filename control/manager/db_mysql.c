/* MariaDB and MySQL behind db_driver.h, by libmariadb. Must not know: what the tables mean. */
#include "control/manager/db_driver.h"

#include "base/mem.h"

#include <errmsg.h>
#include <errno.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define VALUES_MAX  64
#define COLUMNS_MAX 64
#define TEXT_START  256
#define RETURNING   " RETURNING id" /* MySQL has it not, and the id is told anyway */

struct rows {
	MYSQL_STMT *stmt;
	unsigned columns;
	MYSQL_BIND binds[COLUMNS_MAX];
	unsigned long lens[COLUMNS_MAX];
	my_bool nulls[COLUMNS_MAX], cut[COLUMNS_MAX];
	char id[24]; /* what RETURNING id would answer */
	bool has_id;
};

static int fail_code(unsigned code, const char *text, struct err *e)
{
	switch (code) {
	case ER_DUP_ENTRY:
		return err_set(e, EEXIST, "%s", text);
	case ER_NO_REFERENCED_ROW_2:
	case ER_ROW_IS_REFERENCED_2:
	case ER_NO_REFERENCED_ROW:
	case ER_ROW_IS_REFERENCED:
	case ER_BAD_NULL_ERROR:
	case ER_DATA_TOO_LONG:
	case ER_WARN_DATA_OUT_OF_RANGE:
	case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
		return err_set(e, EINVAL, "%s", text);
	case ER_LOCK_DEADLOCK:
	case ER_LOCK_WAIT_TIMEOUT:
		return err_set(e, EDEADLK, "%s", text);
	case ER_SERVER_SHUTDOWN:
	case ER_CON_COUNT_ERROR:
	case ER_CONNECTION_KILLED:
		return err_set(e, ENOTCONN, "the database server is away: %s", text);
	default:
		if (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR) /* the client's own */
			return err_set(e, ENOTCONN, "the database server is away: %s", text);
		return err_set(e, EIO, "%s", text);
	}
}

static int fail(MYSQL *conn, struct err *e)
{
	return fail_code(mysql_errno(conn), mysql_error(conn), e);
}

static bool is_mariadb(MYSQL *conn)
{
	return strstr(mysql_get_server_info(conn), "MariaDB") != NULL;
}

/* DDL has no transactions here: a migration that was interrupted begins again, and what it finds
 * there is its own. */
static bool is_done_already(unsigned code)
{
	return code == ER_TABLE_EXISTS_ERROR || code == ER_DUP_FIELDNAME ||
	       code == ER_DUP_KEYNAME || code == ER_DUP_ENTRY;
}

static int run(void *conn, const char *sql, struct err *e)
{
	MYSQL_RES *result;

	if (mysql_query(conn, sql) != 0)
		return is_done_already(mysql_errno(conn)) ? 0 : fail(conn, e);
	result = mysql_store_result(conn);
	mysql_free_result(result);
	return mysql_errno(conn) ? fail(conn, e) : 0;
}

static void mysql_close_at(MYSQL **conn)
{
	if (*conn)
		mysql_close(*conn);
}

/* Newer libraries check a certificate unless they are told not to. */
static void set_tls(MYSQL *conn, const struct db_config *c)
{
	bool given = c->tls_ca || c->tls_cert;
	my_bool enforce =
		strcmp(c->tls, "true") == 0 || strcmp(c->tls, "skip-verify") == 0 || given;
	my_bool verify = strcmp(c->tls, "true") == 0 || given;

	if (c->tls_insecure || strcmp(c->tls, "skip-verify") == 0)
		verify = 0;
	if (enforce || strcmp(c->tls, "preferred") == 0)
		mysql_ssl_set(conn, c->tls_key, c->tls_cert, c->tls_ca, NULL, NULL);
	mysql_optionsv(conn, MYSQL_OPT_SSL_ENFORCE, &enforce);
	mysql_optionsv(conn, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
}

/* Strict, so that a value too long is an error and not cut; each statement sees what others have
 * committed. */
static int set_session(MYSQL *conn, struct err *e)
{
	char wait[64];
	int r = run(conn, "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'", e);

	if (r == 0)
		r = run(conn, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", e);
	snprintf(wait, sizeof(wait), "SET SESSION innodb_lock_wait_timeout = %d", DB_LOCK_S);
	if (r == 0)
		r = run(conn, wait, e);
	snprintf(wait, sizeof(wait), "SET SESSION idle_transaction_timeout = %d", DB_ANSWER_S);
	if (r == 0 && is_mariadb(conn))
		r = run(conn, wait, e);
	return r;
}

static int connect_to(const struct db_config *c, void **conn_out, struct err *e)
{
	MYSQL *conn cleanup(mysql_close_at) = mysql_init(NULL);
	unsigned connect_s = DB_CONNECT_S, answer_s = DB_ANSWER_S;
	int r;

	if (!conn)
		abort();
	mysql_optionsv(conn, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
	mysql_optionsv(conn, MYSQL_OPT_READ_TIMEOUT, &answer_s);
	mysql_optionsv(conn, MYSQL_OPT_WRITE_TIMEOUT, &answer_s);
	mysql_optionsv(conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	set_tls(conn, c);
	/* FOUND_ROWS: a change of a row to what it was counts, as elsewhere. */
	if (!mysql_real_connect(conn, c->host, c->user, c->password, c->name, c->port, NULL,
				CLIENT_FOUND_ROWS)) {
		err_set(e, ENOTCONN, "the database server is away: %s", mysql_error(conn));
		return c->tls_ca ? err_wrap(e, "with the authorities in %s", c->tls_ca) : -e->code;
	}
	r = set_session(conn, e);
	if (r < 0)
		return r;
	*conn_out = take_ptr(&conn);
	return 0;
}

static void disconnect(void *conn)
{
	mysql_close(conn);
}

/* Nobody waits for anything: what can be read is the end. */
static bool is_alive(void *conn)
{
	struct pollfd p = {.fd = mysql_get_socket(conn), .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* Code points in their order and every blank counts, as sqlite and PostgreSQL compare. */
static void words(void *conn, struct db_words *out)
{
	*out = (struct db_words){
		.id = "BIGINT AUTO_INCREMENT PRIMARY KEY",
		.number = "BIGINT",
		.word = "VARCHAR(64)",
		.name = "VARCHAR(256)",
		.text = "MEDIUMTEXT",
		.end = is_mariadb(conn) ? " ENGINE=InnoDB CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin"
					: " ENGINE=InnoDB CHARSET=utf8mb4 COLLATE=utf8mb4_0900_bin",
	};
	out->end_keyed = out->end;
}

/* ---- statements */

static void end(void *arg)
{
	struct rows *rows = arg;

	for (unsigned i = 0; i < rows->columns; i++)
		free(rows->binds[i].buffer);
	if (rows->stmt)
		mysql_stmt_close(rows->stmt);
	free(rows);
}

static int fail_stmt(struct rows *rows, struct err *e)
{
	return fail_code(mysql_stmt_errno(rows->stmt), mysql_stmt_error(rows->stmt), e);
}

static int execute(struct rows *rows, const struct db_value *values, size_t count, struct err *e)
{
	MYSQL_BIND binds[VALUES_MAX] = {0};

	for (size_t i = 0; i < count; i++) {
		if (!values[i].is_text) {
			binds[i].buffer_type = MYSQL_TYPE_LONGLONG;
			binds[i].buffer = (void *)&values[i].number;
		} else if (values[i].text) {
			binds[i].buffer_type = MYSQL_TYPE_STRING;
			binds[i].buffer = (void *)values[i].text;
			binds[i].buffer_length = strlen(values[i].text);
		} else {
			binds[i].buffer_type = MYSQL_TYPE_NULL;
		}
	}
	if ((count && mysql_stmt_bind_param(rows->stmt, binds) != 0) ||
	    mysql_stmt_execute(rows->stmt) != 0)
		return fail_stmt(rows, e);
	return 0;
}

/* Everything comes as text, in buffers that grow with the longest. */
static int bind_columns(struct rows *rows, struct err *e)
{
	unsigned columns = mysql_stmt_field_count(rows->stmt);

	if (columns > COLUMNS_MAX)
		abort();
	if (!columns)
		return 0;
	for (unsigned i = 0; i < columns; i++) {
		rows->binds[i] = (MYSQL_BIND){
			.buffer_type = MYSQL_TYPE_STRING,
			.buffer = mem_alloc(TEXT_START),
			.buffer_length = TEXT_START - 1,
			.length = &rows->lens[i],
			.is_null = &rows->nulls[i],
			.error = &rows->cut[i],
		};
	}
	rows->columns = columns;
	if (mysql_stmt_bind_result(rows->stmt, rows->binds) != 0 ||
	    mysql_stmt_store_result(rows->stmt) != 0)
		return fail_stmt(rows, e);
	return 0;
}

static void rows_end_at(struct rows **rows)
{
	if (*rows)
		end(*rows);
}

static int start(void *conn, const char *sql, const struct db_value *values, size_t count,
		 void **rows_out, struct err *e)
{
	struct rows *rows cleanup(rows_end_at) = mem_new(struct rows);
	size_t len = strlen(sql), tail = sizeof(RETURNING) - 1;
	int r;

	if (count > VALUES_MAX)
		abort();
	rows->has_id = len > tail && strcmp(sql + len - tail, RETURNING) == 0;
	rows->stmt = mysql_stmt_init(conn);
	if (!rows->stmt)
		abort();
	if (mysql_stmt_prepare(rows->stmt, sql, rows->has_id ? len - tail : len) != 0)
		return fail_stmt(rows, e);
	r = execute(rows, values, count, e);
	if (r == 0)
		r = bind_columns(rows, e);
	if (r < 0)
		return r;
	snprintf(rows->id, sizeof(rows->id), "%llu",
		 (unsigned long long)mysql_stmt_insert_id(rows->stmt));
	*rows_out = take_ptr(&rows);
	return 0;
}

/* Fetches again what did not fit. */
static int fetch_long(struct rows *rows, struct err *e)
{
	for (unsigned i = 0; i < rows->columns; i++) {
		MYSQL_BIND *b = &rows->binds[i];

		if (rows->nulls[i] || rows->lens[i] <= b->buffer_length)
			continue;
		b->buffer_length = rows->lens[i];
		b->buffer = mem_realloc(b->buffer, b->buffer_length + 1);
		if (mysql_stmt_fetch_column(rows->stmt, b, i, 0) != 0)
			return fail_stmt(rows, e);
	}
	/* libmariadb has copied the old buffers' addresses. */
	return mysql_stmt_bind_result(rows->stmt, rows->binds) == 0 ? 0 : fail_stmt(rows, e);
}

static int next(void *arg, struct err *e)
{
	struct rows *rows = arg;
	int r = 0;

	if (!rows->columns) {
		r = rows->has_id;
		rows->has_id = false;
		return r;
	}
	switch (mysql_stmt_fetch(rows->stmt)) {
	case 0:
		break;
	case MYSQL_NO_DATA:
		return 0;
	case MYSQL_DATA_TRUNCATED:
		r = fetch_long(rows, e);
		break;
	default:
		return fail_stmt(rows, e);
	}
	return r < 0 ? r : 1;
}

static const char *text(void *arg, int column)
{
	struct rows *rows = arg;
	char *value;

	if (!rows->columns)
		return rows->id;
	if (rows->nulls[column])
		return NULL;
	value = rows->binds[column].buffer;
	value[rows->lens[column]] = 0;
	return value;
}

static int64_t changed(void *arg)
{
	struct rows *rows = arg;

	return (int64_t)mysql_stmt_affected_rows(rows->stmt);
}

/* ---- transactions */

static int finish(void *conn, bool commit, struct err *e)
{
	return run(conn, commit ? "COMMIT" : "ROLLBACK", e);
}

/* The row's lock is what keeps other managers' transactions waiting. */
static int begin(void *conn, struct err *e)
{
	struct err ignored;
	int r = run(conn, "START TRANSACTION", e);

	if (r == 0)
		r = run(conn, "SELECT version FROM schema_version FOR UPDATE", e);
	if (r < 0 && r != -ENOTCONN && finish(conn, false, &ignored) < 0)
		return err_set(e, ENOTCONN, "a transaction is neither begun nor not");
	return r;
}

/* The lock is this database's, and ends with the connection. */
static int migrate_begin(void *conn, struct err *e)
{
	char sql[96];
	void *rows = NULL;
	const char *got;
	int r;

	snprintf(sql, sizeof(sql), "SELECT GET_LOCK(CONCAT('skimmer.', MD5(DATABASE())), %d)",
		 DB_LOCK_S);
	r = start(conn, sql, NULL, 0, &rows, e);
	if (r < 0)
		return r;
	r = next(rows, e);
	got = r > 0 ? text(rows, 0) : NULL;
	if (r >= 0 && (!got || strcmp(got, "1") != 0))
		r = err_set(e, EDEADLK, "another program migrates the database");
	end(rows);
	return r < 0 ? r : 0;
}

static int migrate_finish(void *conn, bool good, struct err *e)
{
	(void)good;
	return run(conn, "DO RELEASE_LOCK(CONCAT('skimmer.', MD5(DATABASE())))", e);
}

const struct db_driver db_mysql = {
	.version_get = "SELECT version FROM schema_version",
	.version_set = "UPDATE schema_version SET version = ",
	.strangers = "SELECT CASE WHEN SUM(table_name = 'schema_version') > 0 THEN 0"
		     " ELSE COUNT(*) END FROM information_schema.tables"
		     " WHERE table_schema = DATABASE()",
	.now = "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
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
	.migrate_begin = migrate_begin,
	.migrate_finish = migrate_finish,
};
