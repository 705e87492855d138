/*
 * The manager's database: sqlite (WAL, foreign keys), PostgreSQL, or MariaDB/MySQL, one connection
 * behind one lock. The libraries' headers are included by the drivers (db_driver.h) only.
 *
 * Statements are portable SQL: '?' for every value; INSERT ... RETURNING id, and nothing else
 * RETURNING; no upserts; texts compare byte by byte; truths are 0 and 1, times are ms since the
 * epoch. An error inside a transaction ends it: nothing but db_finish() may follow.
 *
 * A connection that was lost is made again by the next statement, outside of a transaction. While a
 * server is away everything is ENOTCONN, at once for a second after each attempt.
 *
 * A query holds the lock from query_start() to query_end(): keep it short, no other db call in
 * between on the same thread.
 */
#ifndef CONTROL_MANAGER_DB_H
#define CONTROL_MANAGER_DB_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct db;

struct db_config {
	const char *type; /* sqlite, postgres, mysql or mariadb */
	const char *path; /* sqlite: a file, or ":memory:" for tests */
	/* the others */
	const char *host, *user, *password, *name;
	uint16_t port;
	const char *tls; /* postgres: sslmode; mysql: false, true, skip-verify or preferred */
	const char *tls_ca, *tls_cert, *tls_key; /* files; NULL = none */
	bool tls_insecure;			 /* mysql */
	bool migrate;
};

/* Whether this program was built with the type. */
bool db_supports(const char *type);
/* Opens, migrates forward (one program at a time) and, in a new one, makes scheduler cluster 1 and
 * seed peer cluster 1, linked, the default. EPROTO: it is of a newer program, or would have to be
 * migrated and may not. EEXIST: its tables are another program's. The type is one that
 * db_supports(). The texts of config are kept by reference. */
must_check int db_connect(const struct db_config *config, struct db **out, struct err *e);
/* sqlite, migrated. */
must_check int db_open(const char *path, struct db **out, struct err *e);
void db_close(struct db *db);

struct query {
	struct db *db;
	void *rows;
	struct err *err; /* where errors of the run go */
	int failed;	 /* -errno */
};

struct db_value {
	bool is_text;
	const char *text; /* NULL is SQL NULL */
	int64_t number;
};

/* types: a letter per '?': s text (NULL is SQL NULL), i int64_t. */
void query_start(struct db *db, struct query *q, struct err *e, const char *sql, const char *types,
		 ...);
void query_start_values(struct db *db, struct query *q, struct err *e, const char *sql,
			const struct db_value *values, size_t count);
bool query_next(struct query *q);		     /* a row is there */
const char *query_text(struct query *q, int column); /* "" for NULL; valid until the next row */
int64_t query_int(struct query *q, int column);
bool query_null(struct query *q, int column);
/* EEXIST for a broken uniqueness, EINVAL for another constraint, ENOTCONN when the server is away,
 * EDEADLK when another's transaction was in the way (ask again), EIO else. */
must_check int query_end(struct query *q);

/* One statement without rows; *changed_out (may be NULL): rows changed. */
must_check int db_run(struct db *db, int64_t *changed_out, struct err *e, const char *sql,
		      const char *types, ...);

must_check int db_run_values(struct db *db, int64_t *changed_out, struct err *e, const char *sql,
			     const struct db_value *values, size_t count);
/* The first column of the first row; ENOENT if there is none. */
must_check int db_number(struct db *db, int64_t *out, struct err *e, const char *sql,
			 const char *types, ...);

/* Whether other managers may use it too: it is a server. */
bool db_is_shared(const struct db *db);
/* ms since the epoch by the database's clock, which several managers share. */
must_check int db_now(struct db *db, int64_t *out, struct err *e);

/* All statements of this thread up to the end are one, and no other thread's come in between: the
 * lock is held. No other transaction, of any manager, goes on meanwhile. Keep it short; not nested.
 */
must_check int db_begin(struct db *db, struct err *e);
/* Commits if result is 0, else takes everything back. Returns result, or what the commit says. */
must_check int db_finish(struct db *db, int result, struct err *e);

/* A whole and consistent copy into a new file, while others go on writing. EEXIST; ENOTSUP for
 * servers, which have tools for it. */
must_check int db_backup(struct db *db, const char *path, struct err *e);

#endif
