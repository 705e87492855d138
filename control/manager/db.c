/* sqlite behind db.h. Must not know: what the tables mean, beyond making them. */
#include "control/manager/db.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
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

	/* 2: people, tokens, jobs, audit. Sealed columns are vault.c's. */
	"ALTER TABLE applications ADD COLUMN user_id INTEGER;"
	"ALTER TABLE schedulers ADD COLUMN config TEXT NOT NULL DEFAULT '{}';"
	"ALTER TABLE seed_peers ADD COLUMN object_storage_port INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE users ("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, password TEXT NOT NULL,"
	" email TEXT UNIQUE, phone TEXT NOT NULL DEFAULT '', avatar TEXT NOT NULL DEFAULT '',"
	" state TEXT NOT NULL DEFAULT 'enable', location TEXT NOT NULL DEFAULT '',"
	" bio TEXT NOT NULL DEFAULT '', must_change_password INTEGER NOT NULL DEFAULT 0,"
	" generation INTEGER NOT NULL DEFAULT 0,"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);"
	"CREATE TABLE roles (name TEXT PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE role_permissions ("
	" role TEXT NOT NULL REFERENCES roles ON DELETE CASCADE, object TEXT NOT NULL,"
	" action TEXT NOT NULL, PRIMARY KEY (role, object, action)) WITHOUT ROWID;"
	"CREATE TABLE user_roles ("
	" user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,"
	" role TEXT NOT NULL REFERENCES roles ON DELETE CASCADE,"
	" PRIMARY KEY (user_id, role)) WITHOUT ROWID;"
	"CREATE TABLE oauths ("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bio TEXT NOT NULL DEFAULT '',"
	" client_id TEXT NOT NULL, client_secret_sealed TEXT NOT NULL,"
	" redirect_url TEXT NOT NULL DEFAULT '',"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);"
	"CREATE TABLE personal_access_tokens ("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, bio TEXT NOT NULL DEFAULT '',"
	" token_hash TEXT NOT NULL UNIQUE, scopes TEXT NOT NULL,"
	" state TEXT NOT NULL DEFAULT 'active', expired_ms INTEGER NOT NULL,"
	" user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);"
	"CREATE TABLE configs ("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, value TEXT NOT NULL,"
	" bio TEXT NOT NULL DEFAULT '', user_id INTEGER,"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);"
	"CREATE TABLE peers ("
	" id INTEGER PRIMARY KEY, host_name TEXT NOT NULL, type TEXT NOT NULL,"
	" idc TEXT NOT NULL DEFAULT '', location TEXT NOT NULL DEFAULT '', ip TEXT NOT NULL,"
	" port INTEGER NOT NULL, download_port INTEGER NOT NULL DEFAULT 0,"
	" proxy_port INTEGER NOT NULL DEFAULT 0,"
	" object_storage_port INTEGER NOT NULL DEFAULT 0,"
	" state TEXT NOT NULL DEFAULT 'inactive', os TEXT NOT NULL DEFAULT '',"
	" platform TEXT NOT NULL DEFAULT '', platform_family TEXT NOT NULL DEFAULT '',"
	" platform_version TEXT NOT NULL DEFAULT '', kernel_version TEXT NOT NULL DEFAULT '',"
	" git_version TEXT NOT NULL DEFAULT '', git_commit TEXT NOT NULL DEFAULT '',"
	" build_platform TEXT NOT NULL DEFAULT '',"
	" scheduler_cluster_id INTEGER NOT NULL REFERENCES scheduler_clusters ON DELETE CASCADE,"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
	" UNIQUE (scheduler_cluster_id, host_name, ip));"
	"CREATE TABLE jobs ("
	" id INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE, bio TEXT NOT NULL DEFAULT '',"
	" type TEXT NOT NULL, state TEXT NOT NULL, args TEXT NOT NULL,"
	" args_sealed TEXT NOT NULL DEFAULT '', result TEXT NOT NULL DEFAULT '{}',"
	" user_id INTEGER, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);"
	"CREATE INDEX jobs_by_state ON jobs (state);"
	"CREATE TABLE job_clusters ("
	" job_id INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,"
	" scheduler_cluster_id INTEGER NOT NULL REFERENCES scheduler_clusters ON DELETE CASCADE,"
	" PRIMARY KEY (job_id, scheduler_cluster_id)) WITHOUT ROWID;"
	"CREATE TABLE audits ("
	" id INTEGER PRIMARY KEY, actor_type TEXT NOT NULL, actor_name TEXT NOT NULL,"
	" event_type TEXT NOT NULL, operation TEXT NOT NULL, operated_ms INTEGER NOT NULL,"
	" state TEXT NOT NULL, path TEXT NOT NULL, status_code INTEGER NOT NULL,"
	" detail TEXT NOT NULL DEFAULT '',"
	" created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL);"
	"CREATE TABLE signing_keys ("
	" id INTEGER PRIMARY KEY, secret_sealed TEXT NOT NULL, created_ms INTEGER NOT NULL);",

	/* 3: who somebody is elsewhere; never a name alone, anybody can be called root there. */
	"CREATE TABLE oauth_users ("
	" provider TEXT NOT NULL, subject TEXT NOT NULL,"
	" user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,"
	" PRIMARY KEY (provider, subject)) WITHOUT ROWID;",
};

static const char first_rows[] =
	"INSERT INTO scheduler_clusters (id, name, config, client_config, seed_client_config,"
	" scopes, is_default, created_ms, updated_ms) VALUES (1, 'cluster-1',"
	" '{\"candidate_parent_limit\":4,\"filter_parent_limit\":40,\"job_rate_limit\":10}',"
	" '{\"load_limit\":200}', '{\"load_limit\":2000}',"
	" '{\"idc\":\"\",\"location\":\"\",\"cidrs\":[],\"hostnames\":[]}', 1, %lld, %lld);"
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

static int bind_text(sqlite3_stmt *stmt, int at, const char *text)
{
	return sqlite3_bind_text(stmt, at, text, -1, SQLITE_TRANSIENT);
}

static int bind(sqlite3_stmt *stmt, const char *types, va_list ap)
{
	for (int i = 0; types[i]; i++) {
		int r = types[i] == 's' ? bind_text(stmt, i + 1, va_arg(ap, const char *))
					: sqlite3_bind_int64(stmt, i + 1, va_arg(ap, int64_t));

		if (r != SQLITE_OK)
			return r;
	}
	return SQLITE_OK;
}

static int bind_values(sqlite3_stmt *stmt, const struct db_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int r = values[i].is_text ? bind_text(stmt, (int)i + 1, values[i].text)
					  : sqlite3_bind_int64(stmt, (int)i + 1, values[i].number);

		if (r != SQLITE_OK)
			return r;
	}
	return SQLITE_OK;
}

static void query_open(struct db *db, struct query *q, struct err *e, const char *sql,
		       const char *types, va_list ap)
{
	sqlite3_stmt *stmt = NULL;

	hold(db);
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

void query_start_values(struct db *db, struct query *q, struct err *e, const char *sql,
			const struct db_value *values, size_t count)
{
	sqlite3_stmt *stmt = NULL;

	hold(db);
	*q = (struct query){.db = db, .err = e};
	if (sqlite3_prepare_v2(db->sqlite, sql, -1, &stmt, NULL) != SQLITE_OK ||
	    bind_values(stmt, values, count) != SQLITE_OK)
		q->failed = fail(db, e, "query");
	q->stmt = stmt;
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

bool query_null(struct query *q, int column)
{
	return sqlite3_column_type(q->stmt, column) == SQLITE_NULL;
}

int query_end(struct query *q)
{
	sqlite3_finalize(q->stmt);
	let_go(q->db);
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

int db_run_values(struct db *db, int64_t *changed_out, struct err *e, const char *sql,
		  const struct db_value *values, size_t count)
{
	struct query q;

	query_start_values(db, &q, e, sql, values, count);
	while (query_next(&q))
		;
	if (changed_out)
		*changed_out = sqlite3_changes(db->sqlite);
	return query_end(&q);
}

int db_number(struct db *db, int64_t *out, struct err *e, const char *sql, const char *types, ...)
{
	struct query q;
	bool found;
	va_list ap;
	int r;

	va_start(ap, types);
	query_open(db, &q, e, sql, types, ap);
	va_end(ap);
	found = query_next(&q);
	if (found)
		*out = query_int(&q, 0);
	r = query_end(&q);
	return r == 0 && !found ? err_set(e, ENOENT, "no such row") : r;
}

int db_begin(struct db *db, struct err *e)
{
	int r;

	assert(!in_transaction);
	lock_take(&db->lock);
	r = run_script(db, "BEGIN IMMEDIATE", e);
	if (r < 0) {
		lock_drop(&db->lock);
		return r;
	}
	in_transaction = db;
	return 0;
}

int db_finish(struct db *db, int result, struct err *e)
{
	assert(in_transaction == db);
	if (result == 0)
		result = run_script(db, "COMMIT", e);
	if (result < 0) /* fails where sqlite has rolled back by itself, which is as good */
		sqlite3_exec(db->sqlite, "ROLLBACK", NULL, NULL, NULL);
	in_transaction = NULL;
	lock_drop(&db->lock);
	return result;
}

int db_backup(struct db *db, const char *path, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(e, errno, "make %s", path);
	close(fd);
	return db_run(db, NULL, e, "VACUUM INTO ?", "s", path);
}
