/*
 * The manager's database: sqlite (WAL, foreign keys), one connection behind one lock. Other servers
 * come behind these same functions; nothing else includes sqlite headers.
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

/* Opens or makes the file, migrates it forward (under sqlite's own lock) and, in an empty one,
 * makes scheduler cluster 1 and seed peer cluster 1, linked, the default. A file from a newer
 * program is refused (EPROTO). ":memory:" for tests. */
must_check int db_open(const char *path, struct db **out, struct err *e);
void db_close(struct db *db);

struct query {
	struct db *db;
	void *stmt;
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
/* EEXIST for a broken uniqueness, EINVAL for another constraint, EIO else. */
must_check int query_end(struct query *q);

/* One statement without rows; *changed_out (may be NULL): rows changed. */
must_check int db_run(struct db *db, int64_t *changed_out, struct err *e, const char *sql,
		      const char *types, ...);

must_check int db_run_values(struct db *db, int64_t *changed_out, struct err *e, const char *sql,
			     const struct db_value *values, size_t count);
/* The first column of the first row; ENOENT if there is none. */
must_check int db_number(struct db *db, int64_t *out, struct err *e, const char *sql,
			 const char *types, ...);

/* All statements of this thread up to the end are one, and no other thread's come in between: the
 * lock is held. Keep it short; not nested. */
must_check int db_begin(struct db *db, struct err *e);
/* Commits if result is 0, else takes everything back. Returns result, or what the commit says. */
must_check int db_finish(struct db *db, int result, struct err *e);

/* A whole and consistent copy into a new file, while others go on writing. EEXIST. */
must_check int db_backup(struct db *db, const char *path, struct err *e);

#endif
