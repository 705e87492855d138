/* One connection, its lock and its life. Must not know: kinds of databases, what tables mean. */
#include "control/manager/db.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/manager/db_driver.h"
#include "control/manager/db_schema.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define RANK_DB	     50
#define VALUES_MAX   32
#define AWAY_REST_MS 1000 /* after an attempt nobody tries */
#define AWAY_LOG_MS  60000

struct db {
	struct db_config config;
	const struct db_driver *driver;
	struct lock lock;
	void *conn;	      /* lock; NULL: lost */
	int64_t next_try_ms;  /* lock; with conn NULL */
	int64_t next_tell_ms; /* lock; when it is logged again that the server is away */
};

/* ---- connecting */

const struct db_driver *db_driver_of(const char *type)
{
	if (strcmp(type, "sqlite") == 0)
		return &db_sqlite;
#ifdef SKIMMER_POSTGRES
	if (strcmp(type, "postgres") == 0)
		return &db_postgres;
#endif
#ifdef SKIMMER_MYSQL
	if (strcmp(type, "mysql") == 0 || strcmp(type, "mariadb") == 0)
		return &db_mysql;
#endif
	return NULL;
}

bool db_supports(const char *type)
{
	return db_driver_of(type);
}

static void db_close_at(struct db **db)
{
	db_close(*db);
}

int db_connect(const struct db_config *config, struct db **out, struct err *e)
{
	struct db *db cleanup(db_close_at) = mem_new(struct db);
	int r;

	lock_init(&db->lock, RANK_DB);
	db->config = *config;
	db->driver = db_driver_of(config->type);
	assert(db->driver);
	r = db->driver->connect(config, &db->conn, e);
	if (r == 0)
		r = db_schema_migrate(db->driver, db->conn, db_schema_version(), config->migrate,
				      e);
	if (r < 0)
		return err_blame(e, "SK250",
				 err_wrap(e, "%s", config->path ? config->path : config->host));
	*out = take_ptr(&db);
	return 0;
}

int db_open(const char *path, struct db **out, struct err *e)
{
	const struct db_config config = {.type = "sqlite", .path = path, .migrate = true};

	return db_connect(&config, out, e);
}

void db_close(struct db *db)
{
	if (!db)
		return;
	if (db->conn)
		db->driver->close(db->conn);
	lock_release(&db->lock);
	free(db);
}

/* The database whose transaction this thread has open: its lock is held. */
static _Thread_local struct db *in_transaction;

static void hold(struct db *db)
{
	if (in_transaction != db)
		lock_take(&db->lock);
}

static void let_go(struct db *db)
{
	if (in_transaction != db)
		lock_drop(&db->lock);
}

static void lose(struct db *db)
{
	if (db->conn)
		db->driver->close(db->conn);
	db->conn = NULL;
}

static int connect_again(struct db *db, struct err *e)
{
	int64_t now = clock_ms();
	struct err why = {0};

	if (now < db->next_try_ms)
		return err_set(e, ENOTCONN, "the database server is away");
	if (db->driver->connect(&db->config, &db->conn, &why) == 0) {
		log_info("the database is back", "host=%s", db->config.host);
		db->next_tell_ms = 0;
		return 0;
	}
	now = clock_ms();
	db->next_try_ms = now + AWAY_REST_MS;
	if (now >= db->next_tell_ms)
		log_error("SK250", "the database is away", "host=%s port=%u why=\"%s\"",
			  db->config.host, db->config.port, why.text);
	if (now >= db->next_tell_ms)
		db->next_tell_ms = now + AWAY_LOG_MS;
	return err_copy(e, &why);
}

/* Under the lock. Nothing is asked twice: a connection is looked at before something is sent, and
 * a statement whose answer is lost has failed. */
static int ensure(struct db *db, struct err *e)
{
	if (db->conn && in_transaction != db && !db->driver->is_alive(db->conn))
		lose(db);
	if (db->conn)
		return 0;
	if (in_transaction == db)
		return err_set(e, ENOTCONN, "the database server is away");
	return connect_again(db, e);
}

/* What a driver has returned: without a connection there is no transaction either. */
static int judge(struct db *db, int r)
{
	if (r == -ENOTCONN)
		lose(db);
	return r;
}

/* ---- queries */

void query_start_values(struct db *db, struct query *q, struct err *e, const char *sql,
			const struct db_value *values, size_t count)
{
	hold(db);
	*q = (struct query){.db = db, .err = e};
	q->failed = ensure(db, e);
	if (q->failed == 0)
		q->failed = db->driver->start(db->conn, sql, values, count, &q->rows, e);
}

/* types: a letter per '?'. Returns how many. */
static size_t take_values(struct db_value *values, const char *types, va_list ap)
{
	size_t count = 0;

	for (; types[count]; count++) {
		assert(count < VALUES_MAX);
		if (types[count] == 's')
			values[count] = (struct db_value){.is_text = true,
							  .text = va_arg(ap, const char *)};
		else
			values[count] = (struct db_value){.number = va_arg(ap, int64_t)};
	}
	return count;
}

void query_start(struct db *db, struct query *q, struct err *e, const char *sql, const char *types,
		 ...)
{
	struct db_value values[VALUES_MAX];
	size_t count;
	va_list ap;

	va_start(ap, types);
	count = take_values(values, types, ap);
	va_end(ap);
	query_start_values(db, q, e, sql, values, count);
}

bool query_next(struct query *q)
{
	int r;

	if (q->failed)
		return false;
	r = q->db->driver->next(q->rows, q->err);
	if (r < 0)
		q->failed = r;
	return r > 0;
}

const char *query_text(struct query *q, int column)
{
	const char *text = q->db->driver->text(q->rows, column);

	return text ? text : "";
}

int64_t query_int(struct query *q, int column)
{
	return strtoll(query_text(q, column), NULL, 10);
}

bool query_null(struct query *q, int column)
{
	return !q->db->driver->text(q->rows, column);
}

int query_end(struct query *q)
{
	if (q->rows)
		q->db->driver->end(q->rows);
	judge(q->db, q->failed);
	let_go(q->db);
	return q->failed;
}

int db_run_values(struct db *db, int64_t *changed_out, struct err *e, const char *sql,
		  const struct db_value *values, size_t count)
{
	struct query q;

	query_start_values(db, &q, e, sql, values, count);
	while (query_next(&q))
		;
	if (changed_out && q.failed == 0)
		*changed_out = db->driver->changed(q.rows);
	return query_end(&q);
}

int db_run(struct db *db, int64_t *changed_out, struct err *e, const char *sql, const char *types,
	   ...)
{
	struct db_value values[VALUES_MAX];
	size_t count;
	va_list ap;

	va_start(ap, types);
	count = take_values(values, types, ap);
	va_end(ap);
	return db_run_values(db, changed_out, e, sql, values, count);
}

int db_number(struct db *db, int64_t *out, struct err *e, const char *sql, const char *types, ...)
{
	struct db_value values[VALUES_MAX];
	struct query q;
	size_t count;
	bool found;
	va_list ap;
	int r;

	va_start(ap, types);
	count = take_values(values, types, ap);
	va_end(ap);
	query_start_values(db, &q, e, sql, values, count);
	found = query_next(&q);
	if (found)
		*out = query_int(&q, 0);
	/* A statement with RETURNING has done its work only after its last row. */
	while (query_next(&q))
		;
	r = query_end(&q);
	return r == 0 && !found ? err_set(e, ENOENT, "no such row") : r;
}

bool db_is_shared(const struct db *db)
{
	return db->driver != &db_sqlite;
}

int db_now(struct db *db, int64_t *out, struct err *e)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT %s", db->driver->now);
	return db_number(db, out, e, sql, "");
}

/* ---- transactions */

int db_begin(struct db *db, struct err *e)
{
	int r;

	assert(!in_transaction);
	lock_take(&db->lock);
	r = ensure(db, e);
	if (r == 0)
		r = judge(db, db->driver->begin(db->conn, e));
	if (r < 0) {
		lock_drop(&db->lock);
		return r;
	}
	in_transaction = db;
	return 0;
}

int db_finish(struct db *db, int result, struct err *e)
{
	struct err ignored;

	assert(in_transaction == db);
	if (result == 0 && !db->conn)
		result = err_set(e, ENOTCONN, "the database server is away");
	if (result == 0)
		result = judge(db, db->driver->finish(db->conn, true, e));
	/* Without an answer to ROLLBACK nobody knows: a new connection does. */
	if (result < 0 && db->conn && db->driver->finish(db->conn, false, &ignored) < 0)
		lose(db);
	in_transaction = NULL;
	lock_drop(&db->lock);
	return result;
}

int db_backup(struct db *db, const char *path, struct err *e)
{
	int r;

	if (!db->driver->backup)
		return err_set(e, ENOTSUP, "%s has tools of its own for this", db->config.type);
	lock_take(&db->lock);
	r = db->driver->backup(db->conn, path, e);
	lock_drop(&db->lock);
	return r;
}
