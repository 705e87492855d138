/*
 * What db.c asks of a kind of database. A connection is used by one thread at a time: db.c holds
 * its lock around every call. Nothing but a driver includes the headers of its library.
 *
 * Errors of every driver: EEXIST for a broken uniqueness, EINVAL for another constraint or a value
 * that the column cannot hold, ENOTCONN when the server is away or too slow (the connection is of
 * no use any more), EDEADLK when another's transaction is in the way, EIO else.
 */
#ifndef CONTROL_MANAGER_DB_DRIVER_H
#define CONTROL_MANAGER_DB_DRIVER_H

#include "control/manager/db.h"

#define DB_CONNECT_S 5	/* until a server is away */
#define DB_LOCK_S    10 /* for another's transaction */
#define DB_ANSWER_S  20 /* for any answer: longer than DB_LOCK_S */

struct db_words {
	const char *id, *number;	/* types of columns */
	const char *word, *name, *text; /* of at most 64 bytes, of at most 256, of any length */
	const char *end, *end_keyed;	/* after the ')' of a table; of one without an id */
};

struct db_driver {
	const char *version_get; /* 0 in a new database */
	const char *version_set; /* and the number */
	/* Counts what is there in a database without schema_version; NULL: needs no such table */
	const char *strangers;
	const char *now; /* an expression: ms since the epoch by the server's clock */

	int (*connect)(const struct db_config *c, void **conn_out, struct err *e);
	void (*close)(void *conn);
	/* False: the other side has closed, while nobody was waiting for it. Does not block. */
	bool (*is_alive)(void *conn);
	void (*words)(void *conn, struct db_words *out);

	/* One statement without values and rows. */
	int (*run)(void *conn, const char *sql, struct err *e);
	/* A statement with a '?' for each value. */
	int (*start)(void *conn, const char *sql, const struct db_value *values, size_t count,
		     void **rows_out, struct err *e);
	int (*next)(void *rows, struct err *e); /* 1 a row, 0 no more */
	/* NULL is SQL NULL; until next(). */
	const char *(*text)(void *rows, int column);
	int64_t (*changed)(void *rows); /* rows, when next() said 0 */
	void (*end)(void *rows);

	/* No other transaction goes on meanwhile, of any program. */
	int (*begin)(void *conn, struct err *e);
	int (*finish)(void *conn, bool commit, struct err *e);

	/* Only one program migrates at a time. Where DDL has transactions, all of it is one. */
	int (*migrate_begin)(void *conn, struct err *e);
	int (*migrate_finish)(void *conn, bool good, struct err *e);

	int (*backup)(void *conn, const char *path, struct err *e); /* NULL: has tools of its own */
};

/* By database.type; NULL: this program was built without. */
const struct db_driver *db_driver_of(const char *type);

extern const struct db_driver db_sqlite;
#ifdef SKIMMER_POSTGRES
extern const struct db_driver db_postgres;
#endif
#ifdef SKIMMER_MYSQL
extern const struct db_driver db_mysql;
#endif

#endif
