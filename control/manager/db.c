/* sqlite behind db.h. Must not know: what the tables mean, beyond making them. */
#include "control/manager/db.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>

#define RANK_DB 50

struct db {
	sqlite3 *sqlite;
	struct lock lock;
};

/* Each entry lifts the schema by one version; never change one that has been released. */
static const char *const migrations[] = {
	"CREATE TABLE scheduler_clusters ("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bio TEXT NOT NULL DEFAULT '',"
	" config TEXT NOT NULL DEFAULT '{}', client_config TEXT NOT NULL DEFAULT '{}',"
	" seed_client_config TEXT NOT NULL DEFAULT '{}', scopes TEXT NOT NULL DEFAULT '{}',"
	" is_default INTEGER NOT NULL DEFAULT 0,"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);"
	"CREATE TABLE seed_peer_clusters ("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bio TEXT NOT NULL DEFAULT '',"
	" config TEXT NOT NULL DEFAULT '{}',"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);"
	"CREATE TABLE cluster_links ("
	" seed_peer_cluster_id INTEGER NOT NULL REFERENCES seed_peer_clusters ON DELETE CASCADE,"
	" scheduler_cluster_id INTEGER NOT NULL REFERENCES scheduler_clusters ON DELETE CASCADE,"
	" PRIMARY KEY (seed_peer_cluster_id, scheduler_cluster_id)) WITHOUT ROWID;"
	"CREATE TABLE schedulers ("
	" id INTEGER PRIMARY KEY, hostname TEXT NOT NULL, ip TEXT NOT NULL, port INTEGER NOT NULL,"
	" idc TEXT NOT NULL DEFAULT '', location TEXT NOT NULL DEFAULT '',"
	" features TEXT NOT NULL DEFAULT '[]', state TEXT NOT NULL DEFAULT 'inactive',"
	" scheduler_cluster_id INTEGER NOT NULL REFERENCES scheduler_clusters,"
	" keep_alive_ms INTEGER NOT NULL DEFAULT 0,"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
	" UNIQUE (hostname, ip, scheduler_cluster_id));"
	"CREATE TABLE seed_peers ("
	" id INTEGER PRIMARY KEY, hostname TEXT NOT NULL, ip TEXT NOT NULL, port INTEGER NOT NULL,"
	" download_port INTEGER NOT NULL, type TEXT NOT NULL DEFAULT 'super',"
	" idc TEXT NOT NULL DEFAULT '', location TEXT NOT NULL DEFAULT '',"
	" state TEXT NOT NULL DEFAULT 'inactive',"
	" seed_peer_cluster_id INTEGER NOT NULL REFERENCES seed_peer_clusters,"
	" keep_alive_ms INTEGER NOT NULL DEFAULT 0,"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
	" UNIQUE (hostname, ip, seed_peer_cluster_id));"
	"CREATE TABLE applications ("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, url TEXT NOT NULL,"
	" bio TEXT NOT NULL DEFAULT '', priority TEXT NOT NULL DEFAULT '{}',"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);",
};

static const char first_rows[] =
	"INSERT INTO scheduler_clusters (id, name, config, client_config, is_default, created_ms,"
	" updated_ms) VALUES (1, 'cluster-1',"
	" '{\"candidate_parent_limit\":4,\"filter_parent_limit\":40,\"job_rate_limit\":10}',"
	" '{\"load_limit\":200}', 1, %lld, %lld);"
	"INSERT INTO seed_peer_clusters (id, name, config, created_ms, updated_ms)"
	" VALUES (1, 'cluster-1', '{\"load_limit\":2000}', %lld, %lld);"
	"INSERT INTO cluster_links VALUES (1, 1);";

static int fail(struct db *db, struct err *e, const char *what)
{
	int code = sqlite3_extended_errcode(db->sqlite);
	const char *text = sqlite3_errmsg(db->sqlite);

	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
		return err_set(e, EEXIST, "%s: %s", what, text);
	default:
		if ((code & 0xff) == SQLITE_CONSTRAINT)
			return err_set(e, EINVAL, "%s: %s", what, text);
		return err_set(e, EIO, "database: %s: %s", what, text);
	}
}

static int run_script(struct db *db, const char *sql, struct err *e)
{
	if (sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail(db, e, "statement");
	return 0;
}

static int version_get(struct db *db, int *out, struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(db->sqlite, "PRAGMA user_version", -1, &stmt, NULL) != SQLITE_OK ||
	    sqlite3_step(stmt) != SQLITE_ROW)
		r = fail(db, e, "version");
	else
		*out = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	return r;
}

static int migrate_from(struct db *db, int version, struct err *e)
{
	char sql[1024];
	int r;

	for (int v = version; v < (int)array_len(migrations); v++) {
		r = run_script(db, migrations[v], e);
		if (r < 0)
			return err_wrap(e, "migration to version %d", v + 1);
	}
	if (version == 0) {
		long long now = clock_wall_ms();

		snprintf(sql, sizeof(sql), first_rows, now, now, now, now);
		r = run_script(db, sql, e);
		if (r < 0)
			return r;
	}
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %d", (int)array_len(migrations));
	return run_script(db, sql, e);
}

/* All or nothing, and only one program at a time: sqlite's write lock is held from the start. */
static int migrate(struct db *db, struct err *e)
{
	int version = 0, r;

	r = run_script(db, "BEGIN IMMEDIATE", e);
	if (r < 0)
		return r;
	r = version_get(db, &version, e);
	if (r == 0 && version > (int)array_len(migrations))
		r = err_set(e, EPROTO, "the database has version %d, this program knows up to %d",
			    version, (int)array_len(migrations));
	if (r == 0)
		r = migrate_from(db, version, e);
	if (r < 0) {
		sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
		return r;
	}
	return run_script(db, "COMMIT", e);
}

static void db_close_at(struct db **db)
{
	db_close(*db);
}

int db_open(const char *path, struct db **out, struct err *e)
{
	struct db *db cleanup(db_close_at) = mem_new(struct db);
	int r;

	lock_init(&db->lock, RANK_DB);
	if (sqlite3_open(path, &db->sqlite) != SQLITE_OK)
		return err_set(e, EIO, "open database %s: %s", path,
			       db->sqlite ? sqlite3_errmsg(db->sqlite) : "out of memory");
	sqlite3_busy_timeout(db->sqlite, 10000);
	r = run_script(db,
		       "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
		       "PRAGMA foreign_keys = ON",
		       e);
	if (r == 0)
		r = migrate(db, e);
	if (r < 0)
		return err_wrap(e, "%s", path);
	*out = take_ptr(&db);
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	sqlite3_close(db->sqlite);
	lock_release(&db->lock);
	free(db);
}

static int bind(sqlite3_stmt *stmt, const char *types, va_list ap)
{
	for (int i = 0; types[i]; i++) {
		int r;

		if (types[i] == 's')
			r = sqlite3_bind_text(stmt, i + 1, va_arg(ap, const char *), -1,
					      SQLITE_TRANSIENT);
		else
			r = sqlite3_bind_int64(stmt, i + 1, va_arg(ap, int64_t));
		if (r != SQLITE_OK)
			return r;
	}
	return SQLITE_OK;
}

static void query_open(struct db *db, struct query *q, struct err *e, const char *sql,
		       const char *types, va_list ap)
{
	sqlite3_stmt *stmt = NULL;

	lock_take(&db->lock);
	*q = (struct query){.db = db, .err = e};
	if (sqlite3_prepare_v2(db->sqlite, sql, -1, &stmt, NULL) != SQLITE_OK ||
	    bind(stmt, types, ap) != SQLITE_OK)
		q->failed = fail(db, e, "query");
	q->stmt = stmt;
}

void query_start(struct db *db, struct query *q, struct err *e, const char *sql, const char *types,
		 ...)
{
	va_list ap;

	va_start(ap, types);
	query_open(db, q, e, sql, types, ap);
	va_end(ap);
}

bool query_next(struct query *q)
{
	int r;

	if (q->failed)
		return false;
	r = sqlite3_step(q->stmt);
	if (r != SQLITE_ROW && r != SQLITE_DONE)
		q->failed = fail(q->db, q->err, "query");
	return r == SQLITE_ROW;
}

const char *query_text(struct query *q, int column)
{
	const unsigned char *text = sqlite3_column_text(q->stmt, column);

	return text ? (const char *)text : "";
}

int64_t query_int(struct query *q, int column)
{
	return sqlite3_column_int64(q->stmt, column);
}

int query_end(struct query *q)
{
	sqlite3_finalize(q->stmt);
	lock_drop(&q->db->lock);
	return q->failed;
}

int db_run(struct db *db, int64_t *changed_out, struct err *e, const char *sql, const char *types,
	   ...)
{
	struct query q;
	va_list ap;

	va_start(ap, types);
	query_open(db, &q, e, sql, types, ap);
	va_end(ap);
	while (query_next(&q))
		;
	if (changed_out)
		*changed_out = sqlite3_changes(db->sqlite);
	return query_end(&q);
}
