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

/* types: a letter per '?': s text (NULL is SQL NULL), i int64_t. */
void query_start(struct db *db, struct query *q, struct err *e, const char *sql, const char *types,
		 ...);
bool query_next(struct query *q);		     /* a row is there */
const char *query_text(struct query *q, int column); /* "" for NULL; valid until the next row */
int64_t query_int(struct query *q, int column);
/* EEXIST for a broken uniqueness, EINVAL for another constraint, EIO else. */
must_check int query_end(struct query *q);

/* One statement without rows; *changed_out (may be NULL): rows changed. */
must_check int db_run(struct db *db, int64_t *changed_out, struct err *e, const char *sql,
		      const char *types, ...);

#endif
