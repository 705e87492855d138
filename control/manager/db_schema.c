/* The schema. Must not know: how a server is asked. */
#include "control/manager/db_schema.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STATEMENT_MAX 4096

/*
 * Each entry lifts the schema by one version; never change one that has been released. Portable
 * SQL with a ';' only after a statement; $id, $int, $word, $name, $text, $end and $keyed are the
 * driver's (struct db_words). A column that a key or an index has is a $word or a $name.
 */
static const char *const migrations[] = {
	"CREATE TABLE scheduler_clusters ("
	" id $id, name $name NOT NULL UNIQUE, bio $text NOT NULL DEFAULT (''),"
	" config $text NOT NULL DEFAULT ('{}'), client_config $text NOT NULL DEFAULT ('{}'),"
	" seed_client_config $text NOT NULL DEFAULT ('{}'), scopes $text NOT NULL DEFAULT ('{}'),"
	" is_default $int NOT NULL DEFAULT 0, created_ms $int NOT NULL,"
	" updated_ms $int NOT NULL)$end;"
	"CREATE TABLE seed_peer_clusters ("
	" id $id, name $name NOT NULL UNIQUE, bio $text NOT NULL DEFAULT (''),"
	" config $text NOT NULL DEFAULT ('{}'), created_ms $int NOT NULL,"
	" updated_ms $int NOT NULL)$end;"
	"CREATE TABLE cluster_links ("
	" seed_peer_cluster_id $int NOT NULL, scheduler_cluster_id $int NOT NULL,"
	" PRIMARY KEY (seed_peer_cluster_id, scheduler_cluster_id),"
	" FOREIGN KEY (seed_peer_cluster_id) REFERENCES seed_peer_clusters (id) ON DELETE CASCADE,"
	" FOREIGN KEY (scheduler_cluster_id) REFERENCES scheduler_clusters (id) ON DELETE "
	"CASCADE)$keyed;"
	"CREATE TABLE schedulers ("
	" id $id, hostname $name NOT NULL, ip $word NOT NULL, port $int NOT NULL,"
	" idc $text NOT NULL DEFAULT (''), location $text NOT NULL DEFAULT (''),"
	" features $text NOT NULL DEFAULT ('[]'), state $word NOT NULL DEFAULT ('inactive'),"
	" scheduler_cluster_id $int NOT NULL, keep_alive_ms $int NOT NULL DEFAULT 0,"
	" created_ms $int NOT NULL, updated_ms $int NOT NULL,"
	" UNIQUE (hostname, ip, scheduler_cluster_id),"
	" FOREIGN KEY (scheduler_cluster_id) REFERENCES scheduler_clusters (id))$end;"
	"CREATE TABLE seed_peers ("
	" id $id, hostname $name NOT NULL, ip $word NOT NULL, port $int NOT NULL,"
	" download_port $int NOT NULL, type $text NOT NULL DEFAULT ('super'),"
	" idc $text NOT NULL DEFAULT (''), location $text NOT NULL DEFAULT (''),"
	" state $word NOT NULL DEFAULT ('inactive'), seed_peer_cluster_id $int NOT NULL,"
	" keep_alive_ms $int NOT NULL DEFAULT 0, created_ms $int NOT NULL,"
	" updated_ms $int NOT NULL, UNIQUE (hostname, ip, seed_peer_cluster_id),"
	" FOREIGN KEY (seed_peer_cluster_id) REFERENCES seed_peer_clusters (id))$end;"
	"CREATE TABLE applications ("
	" id $id, name $name NOT NULL UNIQUE, url $text NOT NULL,"
	" bio $text NOT NULL DEFAULT (''), priority $text NOT NULL DEFAULT ('{}'),"
	" created_ms $int NOT NULL, updated_ms $int NOT NULL)$end;",

	/* 2: people, tokens, jobs, audit. Sealed columns are vault.c's. */
	"ALTER TABLE applications ADD COLUMN user_id $int;"
	"ALTER TABLE schedulers ADD COLUMN config $text NOT NULL DEFAULT ('{}');"
	"ALTER TABLE seed_peers ADD COLUMN object_storage_port $int NOT NULL DEFAULT 0;"
	"CREATE TABLE users ("
	" id $id, name $name NOT NULL UNIQUE, password $text NOT NULL, email $name UNIQUE,"
	" phone $text NOT NULL DEFAULT (''), avatar $text NOT NULL DEFAULT (''),"
	" state $word NOT NULL DEFAULT ('enable'), location $text NOT NULL DEFAULT (''),"
	" bio $text NOT NULL DEFAULT (''), must_change_password $int NOT NULL DEFAULT 0,"
	" generation $int NOT NULL DEFAULT 0, created_ms $int NOT NULL,"
	" updated_ms $int NOT NULL)$end;"
	"CREATE TABLE roles ("
	" name $name PRIMARY KEY)$keyed;"
	"CREATE TABLE role_permissions ("
	" role $name NOT NULL, object $name NOT NULL, action $word NOT NULL,"
	" PRIMARY KEY (role, object, action),"
	" FOREIGN KEY (role) REFERENCES roles (name) ON DELETE CASCADE)$keyed;"
	"CREATE TABLE user_roles ("
	" user_id $int NOT NULL, role $name NOT NULL, PRIMARY KEY (user_id, role),"
	" FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,"
	" FOREIGN KEY (role) REFERENCES roles (name) ON DELETE CASCADE)$keyed;"
	"CREATE TABLE oauths ("
	" id $id, name $name NOT NULL UNIQUE, bio $text NOT NULL DEFAULT (''),"
	" client_id $text NOT NULL, client_secret_sealed $text NOT NULL,"
	" redirect_url $text NOT NULL DEFAULT (''), created_ms $int NOT NULL,"
	" updated_ms $int NOT NULL)$end;"
	"CREATE TABLE personal_access_tokens ("
	" id $id, name $name NOT NULL UNIQUE, bio $text NOT NULL DEFAULT (''),"
	" token_hash $word NOT NULL UNIQUE, scopes $text NOT NULL,"
	" state $word NOT NULL DEFAULT ('active'), expired_ms $int NOT NULL,"
	" user_id $int NOT NULL, created_ms $int NOT NULL, updated_ms $int NOT NULL,"
	" FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE)$end;"
	"CREATE TABLE configs ("
	" id $id, name $name NOT NULL UNIQUE, value $text NOT NULL,"
	" bio $text NOT NULL DEFAULT (''), user_id $int, created_ms $int NOT NULL,"
	" updated_ms $int NOT NULL)$end;"
	"CREATE TABLE peers ("
	" id $id, host_name $name NOT NULL, type $text NOT NULL, idc $text NOT NULL DEFAULT (''),"
	" location $text NOT NULL DEFAULT (''), ip $word NOT NULL, port $int NOT NULL,"
	" download_port $int NOT NULL DEFAULT 0, proxy_port $int NOT NULL DEFAULT 0,"
	" object_storage_port $int NOT NULL DEFAULT 0, state $word NOT NULL DEFAULT ('inactive'),"
	" os $text NOT NULL DEFAULT (''), platform $text NOT NULL DEFAULT (''),"
	" platform_family $text NOT NULL DEFAULT (''),"
	" platform_version $text NOT NULL DEFAULT (''),"
	" kernel_version $text NOT NULL DEFAULT (''), git_version $text NOT NULL DEFAULT (''),"
	" git_commit $text NOT NULL DEFAULT (''), build_platform $text NOT NULL DEFAULT (''),"
	" scheduler_cluster_id $int NOT NULL, created_ms $int NOT NULL, updated_ms $int NOT NULL,"
	" UNIQUE (scheduler_cluster_id, host_name, ip),"
	" FOREIGN KEY (scheduler_cluster_id) REFERENCES scheduler_clusters (id) ON DELETE "
	"CASCADE)$end;"
	"CREATE TABLE jobs ("
	" id $id, task_id $word NOT NULL UNIQUE, bio $text NOT NULL DEFAULT (''),"
	" type $text NOT NULL, state $word NOT NULL, args $text NOT NULL,"
	" args_sealed $text NOT NULL DEFAULT (''), result $text NOT NULL DEFAULT ('{}'),"
	" user_id $int, created_ms $int NOT NULL, updated_ms $int NOT NULL)$end;"
	"CREATE INDEX jobs_by_state ON jobs (state);"
	"CREATE TABLE job_clusters ("
	" job_id $int NOT NULL, scheduler_cluster_id $int NOT NULL,"
	" PRIMARY KEY (job_id, scheduler_cluster_id),"
	" FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE,"
	" FOREIGN KEY (scheduler_cluster_id) REFERENCES scheduler_clusters (id) ON DELETE "
	"CASCADE)$keyed;"
	"CREATE TABLE audits ("
	" id $id, actor_type $text NOT NULL, actor_name $text NOT NULL,"
	" event_type $text NOT NULL, operation $text NOT NULL, operated_ms $int NOT NULL,"
	" state $word NOT NULL, path $text NOT NULL, status_code $int NOT NULL,"
	" detail $text NOT NULL DEFAULT (''), created_ms $int NOT NULL,"
	" updated_ms $int NOT NULL)$end;"
	"CREATE TABLE signing_keys ("
	" id $id, secret_sealed $text NOT NULL, created_ms $int NOT NULL)$end;",

	/* 3: who somebody is elsewhere; never a name alone, anybody can be called root there. */
	"CREATE TABLE oauth_users ("
	" provider $word NOT NULL, subject $name NOT NULL, user_id $int NOT NULL,"
	" PRIMARY KEY (provider, subject),"
	" FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE)$keyed;",

	/* 4: which manager is at a job, and until when nobody else may be. */
	("ALTER TABLE jobs ADD COLUMN owner $word NOT NULL DEFAULT ('');"
	 "ALTER TABLE jobs ADD COLUMN lease_ms $int NOT NULL DEFAULT 0;"),
};

/* Of a new database. */
static const char first_rows[] =
	"INSERT INTO scheduler_clusters (name, config, client_config, seed_client_config,"
	" scopes, is_default, created_ms, updated_ms) VALUES ('cluster-1',"
	" '{\"candidate_parent_limit\":4,\"filter_parent_limit\":40,\"job_rate_limit\":10}',"
	" '{\"load_limit\":200}', '{\"load_limit\":2000}',"
	" '{\"idc\":\"\",\"location\":\"\",\"cidrs\":[],\"hostnames\":[]}', 1, $now, $now);"
	"INSERT INTO seed_peer_clusters (name, config, created_ms, updated_ms)"
	" VALUES ('cluster-1', '{\"load_limit\":2000}', $now, $now);"
	"INSERT INTO cluster_links (seed_peer_cluster_id, scheduler_cluster_id)"
	" SELECT s.id, c.id FROM seed_peer_clusters s, scheduler_clusters c;";

int db_schema_version(void)
{
	return array_len(migrations);
}

/* Appends what the word at text stands for; returns its length there. */
static size_t put_word(const struct db_words *w, int64_t now, const char *text, struct buf *out)
{
	const struct {
		const char *name, *value;
	} words[] = {
		{"$id", w->id},		  {"$int", w->number}, {"$word", w->word},
		{"$name", w->name},	  {"$text", w->text},  {"$end", w->end},
		{"$keyed", w->end_keyed},
	};

	if (strncmp(text, "$now", 4) == 0) {
		buf_printf(out, "%lld", (long long)now);
		return 4;
	}
	for (size_t i = 0; i < array_len(words); i++) {
		size_t len = strlen(words[i].name);

		if (strncmp(text, words[i].name, len) == 0) {
			buf_puts(out, words[i].value);
			return len;
		}
	}
	abort();
}

static int run_script(const struct db_driver *driver, void *conn, const char *script, struct err *e)
{
	struct buf sql cleanup(buf_release) = BUF_INIT(STATEMENT_MAX);
	int64_t now = clock_wall_ms();
	struct db_words words;
	int r = 0;

	driver->words(conn, &words);
	for (const char *p = script; r == 0 && *p;) {
		if (*p == '$') {
			p += put_word(&words, now, p, &sql);
		} else if (*p++ != ';') {
			buf_append(&sql, p - 1, 1);
		} else {
			r = driver->run(conn, sql.data, e);
			buf_clear(&sql);
		}
	}
	return r;
}

/* The first column of the first row. */
static int number_get(const struct db_driver *driver, void *conn, const char *sql, int *out,
		      struct err *e)
{
	void *rows = NULL;
	int r = driver->start(conn, sql, NULL, 0, &rows, e);

	if (r < 0)
		return r;
	r = driver->next(rows, e);
	if (r > 0)
		*out = atoi(driver->text(rows, 0));
	driver->end(rows);
	if (r == 0)
		return err_set(e, EPROTO, "no row: %s", sql);
	return r < 0 ? r : 0;
}

/* People who come from another manager must not find its tables mixed with ours. */
static int make_version(const struct db_driver *driver, void *conn, struct err *e)
{
	int strangers = 0, r;

	if (!driver->strangers)
		return 0;
	r = number_get(driver, conn, driver->strangers, &strangers, e);
	if (r == 0 && strangers)
		return err_set(
			e, EEXIST,
			"the database has %d tables of another program: give it an empty one",
			strangers);
	if (r == 0)
		r = driver->run(conn,
				"CREATE TABLE IF NOT EXISTS schema_version"
				" (version BIGINT NOT NULL)",
				e);
	if (r == 0)
		r = driver->run(conn,
				"INSERT INTO schema_version SELECT 0 FROM (SELECT 1 AS one) o"
				" WHERE NOT EXISTS (SELECT 1 FROM schema_version)",
				e);
	return r;
}

static int lift(const struct db_driver *driver, void *conn, int from, int to, struct err *e)
{
	char sql[128];
	int r = 0;

	for (int v = from; r == 0 && v < to; v++) {
		r = run_script(driver, conn, migrations[v], e);
		if (r == 0 && v == 0)
			r = run_script(driver, conn, first_rows, e);
		if (r == 0) {
			snprintf(sql, sizeof(sql), "%s%d", driver->version_set, v + 1);
			r = driver->run(conn, sql, e);
		}
		if (r < 0)
			return err_wrap(e, "migration to version %d", v + 1);
	}
	return r;
}

static int migrate(const struct db_driver *driver, void *conn, int to, bool may, struct err *e)
{
	int known = db_schema_version(), from = 0;
	int r = make_version(driver, conn, e);

	if (r == 0)
		r = number_get(driver, conn, driver->version_get, &from, e);
	if (r < 0)
		return r;
	if (from > known)
		return err_set(e, EPROTO,
			       "the database has version %d, this program knows up to %d", from,
			       known);
	if (from < to && !may)
		return err_set(e, EPROTO,
			       "the database has version %d, this program needs %d: let it migrate "
			       "(the key `migrate` of the database)",
			       from, to);
	return lift(driver, conn, from, to, e);
}

int db_schema_migrate(const struct db_driver *driver, void *conn, int version, bool may,
		      struct err *e)
{
	struct err lost = {0};
	int r = driver->migrate_begin(conn, e);

	if (r < 0)
		return r;
	r = migrate(driver, conn, version, may, e);
	if (driver->migrate_finish(conn, r == 0, &lost) < 0 && r == 0)
		return err_copy(e, &lost);
	return r;
}
