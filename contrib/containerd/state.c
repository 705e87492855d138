/* The snapshots' rows. Must not know: what is in a snapshot's directory, or gRPC. */
#include "contrib/containerd/state.h"

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>

#define RANK_STATE 20
#define VERSION	   1
#define CHAIN_MAX  1024
#define KEPT_MAX   32 /* more than there are different statements below */

/* A statement that has been compiled, by the address of its text. */
struct kept {
	const char *sql;
	sqlite3_stmt *stmt;
};

struct state {
	sqlite3 *db;
	struct lock lock;
	struct kept kept[KEPT_MAX];
};

static const char schema[] =
	"CREATE TABLE snapshots (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
	" parent INTEGER REFERENCES snapshots, kind INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
	" updated_ms INTEGER NOT NULL, size INTEGER NOT NULL DEFAULT -1,"
	" inodes INTEGER NOT NULL DEFAULT -1, lazy TEXT NOT NULL DEFAULT '');"
	"CREATE INDEX snapshots_parent ON snapshots (parent);"
	"CREATE TABLE labels (snapshot INTEGER NOT NULL REFERENCES snapshots ON DELETE CASCADE,"
	" key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (snapshot, key)) WITHOUT ROWID;"
	"CREATE TABLE removed (id INTEGER PRIMARY KEY);"
	"PRAGMA user_version = 1;";

#define COLUMNS                                                                                    \
	"SELECT s.id, s.name, p.name, s.kind, s.created_ms, s.updated_ms, s.size, s.inodes, "      \
	"s.lazy FROM snapshots s LEFT JOIN snapshots p ON p.id = s.parent "

void snapshot_release(struct snapshot *s)
{
	free(s->name);
	free(s->parent);
	free(s->lazy);
	labels_release(&s->labels);
	*s = (struct snapshot){0};
}

void snapshot_chain_release(struct snapshot_chain *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->items[i].lazy);
	free(c->items);
	*c = (struct snapshot_chain){0};
}

/* ---- sqlite, each under the lock */

static int fail(struct state *st, struct err *e)
{
	int code = sqlite3_extended_errcode(st->db);

	if (code == SQLITE_FULL)
		return err_set(e, ENOSPC, "database");
	return err_set(e, EIO, "database: %s", sqlite3_errmsg(st->db));
}

static void reset_at(sqlite3_stmt **stmt)
{
	if (!*stmt)
		return;
	sqlite3_reset(*stmt);
	sqlite3_clear_bindings(*stmt);
}

/* Compiled once: containerd asks several times for every layer. sql is a constant; what it compiles
 * to is not used inside of its own use. NULL: fail() says why. */
static sqlite3_stmt *compile(struct state *st, const char *sql)
{
	struct kept *k = st->kept;

	while (k->sql && k->sql != sql)
		k++;
	assert(k < st->kept + KEPT_MAX - 1);
	if (!k->stmt && sqlite3_prepare_v3(st->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &k->stmt,
					   NULL) == SQLITE_OK)
		k->sql = sql;
	assert(!k->stmt || !sqlite3_stmt_busy(k->stmt));
	return k->stmt;
}

/* types: a letter per '?': s text, i int64_t, n the same but NULL if 0. */
static int ask(struct state *st, sqlite3_stmt **out, struct err *e, const char *sql,
	       const char *types, ...)
{
	va_list ap;
	int r = SQLITE_OK;

	*out = compile(st, sql);
	if (!*out)
		return fail(st, e);
	va_start(ap, types);
	for (int i = 0; types[i] && r == SQLITE_OK; i++) {
		if (types[i] == 's') {
			r = sqlite3_bind_text(*out, i + 1, va_arg(ap, const char *), -1,
					      SQLITE_TRANSIENT);
			continue;
		}
		int64_t number = va_arg(ap, int64_t);
		r = types[i] == 'n' && number == 0 ? sqlite3_bind_null(*out, i + 1)
						   : sqlite3_bind_int64(*out, i + 1, number);
	}
	va_end(ap);
	return r == SQLITE_OK ? 0 : fail(st, e);
}

/* 1 a row, 0 no more, -errno. */
static int step(struct state *st, sqlite3_stmt *stmt, struct err *e)
{
	switch (sqlite3_step(stmt)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return fail(st, e);
	}
}

static int run_script(struct state *st, const char *sql, struct err *e)
{
	return sqlite3_exec(st->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(st, e);
}

/* One statement without rows, of one number. */
static int run(struct state *st, struct err *e, const char *sql, uint64_t number)
{
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	int r = ask(st, &stmt, e, sql, "i", (int64_t)number);

	return r < 0 ? r : step(st, stmt, e);
}

/* COMMIT, or ROLLBACK when r says that something failed. */
static int end(struct state *st, int r, struct err *e)
{
	if (r >= 0)
		r = run_script(st, "COMMIT", e);
	if (r < 0)
		sqlite3_exec(st->db, "ROLLBACK", NULL, NULL, NULL);
	return r < 0 ? r : 0;
}

static char *column_text(sqlite3_stmt *stmt, int column)
{
	const unsigned char *text = sqlite3_column_text(stmt, column);

	return mem_strdup(text ? (const char *)text : "");
}

/* ---- opening */

static int migrate(struct state *st, struct err *e)
{
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	int r = ask(st, &stmt, e, "PRAGMA user_version", "");

	if (r == 0)
		r = step(st, stmt, e);
	if (r < 0)
		return r;
	switch (sqlite3_column_int(stmt, 0)) {
	case 0:
		return run_script(st, schema, e);
	case VERSION:
		return 0;
	default:
		return err_set(e, EPROTO, "the database has version %d, this program knows %d",
			       sqlite3_column_int(stmt, 0), VERSION);
	}
}

static void state_close_at(struct state **st)
{
	state_close(*st);
}

int state_open(const char *path, struct state **out, struct err *e)
{
	struct state *st cleanup(state_close_at) = mem_new(struct state);
	int r;

	lock_init(&st->lock, RANK_STATE);
	if (sqlite3_open(path, &st->db) != SQLITE_OK)
		return err_set(e, EIO, "open database %s: %s", path,
			       st->db ? sqlite3_errmsg(st->db) : "out of memory");
	sqlite3_busy_timeout(st->db, 10000);
	/* FULL: containerd has the snapshot on disk when we have answered, so must we. */
	r = run_script(st,
		       "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		       "PRAGMA foreign_keys = ON; BEGIN IMMEDIATE",
		       e);
	if (r == 0)
		r = end(st, migrate(st, e), e);
	if (r < 0)
		return err_wrap(e, "%s", path);
	*out = take_ptr(&st);
	return 0;
}

void state_close(struct state *st)
{
	if (!st)
		return;
	for (struct kept *k = st->kept; k->sql; k++)
		sqlite3_finalize(k->stmt);
	sqlite3_close(st->db);
	lock_release(&st->lock);
	free(st);
}

/* ---- reading */

static int read_labels(struct state *st, struct snapshot *s, struct err *e)
{
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	int r = ask(st, &stmt, e, "SELECT key, value FROM labels WHERE snapshot = ?", "i",
		    (int64_t)s->id);

	while (r == 0 && (r = step(st, stmt, e)) > 0) {
		labels_set(&s->labels, (const char *)sqlite3_column_text(stmt, 0),
			   (const char *)sqlite3_column_text(stmt, 1));
		r = 0;
	}
	return r;
}

static int read_row(struct state *st, sqlite3_stmt *stmt, struct snapshot *s, struct err *e)
{
	*s = (struct snapshot){
		.id = (uint64_t)sqlite3_column_int64(stmt, 0),
		.name = column_text(stmt, 1),
		.parent = column_text(stmt, 2),
		.kind = (enum snapshot_kind)sqlite3_column_int(stmt, 3),
		.created_ms = sqlite3_column_int64(stmt, 4),
		.updated_ms = sqlite3_column_int64(stmt, 5),
		.size = sqlite3_column_int64(stmt, 6),
		.inodes = sqlite3_column_int64(stmt, 7),
		.lazy = column_text(stmt, 8),
	};
	return read_labels(st, s, e);
}

static int get(struct state *st, const char *key, struct snapshot *out, struct err *e)
{
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	int r = ask(st, &stmt, e, COLUMNS "WHERE s.name = ?", "s", key);

	if (r == 0)
		r = step(st, stmt, e);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(e, ENOENT, "snapshot %s", key);
	r = read_row(st, stmt, out, e);
	if (r < 0)
		snapshot_release(out);
	return r;
}

int state_get(struct state *st, const char *key, struct snapshot *out, struct err *e)
{
	lock_guard(&st->lock);
	return get(st, key, out, e);
}

static int ask_all(struct state *st, const char *parent, sqlite3_stmt **out, struct err *e)
{
	if (!parent)
		return ask(st, out, e, COLUMNS "ORDER BY s.id", "");
	if (!parent[0])
		return ask(st, out, e, COLUMNS "WHERE s.parent IS NULL ORDER BY s.id", "");
	return ask(st, out, e, COLUMNS "WHERE p.name = ? ORDER BY s.id", "s", parent);
}

int state_all(struct state *st, const char *parent, struct snapshot **out, size_t *count_out,
	      struct err *e)
{
	lock_guard(&st->lock);
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	struct snapshot *list = NULL;
	size_t count = 0;
	int r;

	r = ask_all(st, parent, &stmt, e);
	while (r == 0 && (r = step(st, stmt, e)) > 0) {
		list = mem_realloc(list, (count + 1) * sizeof(*list));
		r = read_row(st, stmt, &list[count++], e);
	}
	if (r < 0) {
		while (count)
			snapshot_release(&list[--count]);
		free(list);
		return r;
	}
	*out = list;
	*count_out = count;
	return 0;
}

int state_chain(struct state *st, const char *key, struct snapshot_chain *out, struct err *e)
{
	lock_guard(&st->lock);
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	int r;

	*out = (struct snapshot_chain){0};
	r = ask(st, &stmt, e,
		"WITH RECURSIVE up (id, parent, lazy, depth) AS ("
		"SELECT id, parent, lazy, 0 FROM snapshots WHERE name = ? UNION ALL "
		"SELECT s.id, s.parent, s.lazy, depth + 1 FROM snapshots s, up"
		" WHERE s.id = up.parent"
		") SELECT id, lazy FROM up ORDER BY depth",
		"s", key);
	while (r == 0 && out->count < CHAIN_MAX && (r = step(st, stmt, e)) > 0) {
		out->items = mem_realloc(out->items, (out->count + 1) * sizeof(*out->items));
		out->items[out->count].id = (uint64_t)sqlite3_column_int64(stmt, 0);
		out->items[out->count++].lazy = column_text(stmt, 1);
		r = 0;
	}
	if (r == 0 && out->count == 0)
		r = err_set(e, ENOENT, "snapshot %s", key);
	if (r < 0)
		snapshot_chain_release(out);
	return r;
}

/* ---- changing, each inside a transaction */

static int write_labels(struct state *st, uint64_t id, const struct labels *l, struct err *e)
{
	int r = run(st, e, "DELETE FROM labels WHERE snapshot = ?", id);

	for (size_t i = 0; r == 0 && i < l->count; i++) {
		sqlite3_stmt *stmt cleanup(reset_at) = NULL;

		r = ask(st, &stmt, e, "INSERT INTO labels VALUES (?, ?, ?)", "iss", (int64_t)id,
			l->items[i].key, l->items[i].value);
		if (r == 0)
			r = step(st, stmt, e);
	}
	return r;
}

/* The row's id and kind; 0 for a name that is free. */
static int find(struct state *st, const char *name, uint64_t *id_out, int *kind_out, struct err *e)
{
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	int r = ask(st, &stmt, e, "SELECT id, kind FROM snapshots WHERE name = ?", "s", name);

	*id_out = 0;
	if (r == 0)
		r = step(st, stmt, e);
	if (r > 0) {
		*id_out = (uint64_t)sqlite3_column_int64(stmt, 0);
		*kind_out = sqlite3_column_int(stmt, 1);
	}
	return r < 0 ? r : 0;
}

static int must_be_free(struct state *st, const char *name, struct err *e)
{
	uint64_t id;
	int kind, r = find(st, name, &id, &kind, e);

	if (r < 0)
		return r;
	return id ? err_set(e, EEXIST, "snapshot %s", name) : 0;
}

/* "" is 0, no parent. */
static int parent_id(struct state *st, const char *parent, uint64_t *id_out, struct err *e)
{
	int kind = 0, r;

	*id_out = 0;
	if (!parent[0])
		return 0;
	r = find(st, parent, id_out, &kind, e);
	if (r < 0)
		return r;
	if (*id_out == 0)
		return err_set(e, ENOENT, "parent snapshot %s", parent);
	if (kind != SNAPSHOT_COMMITTED)
		return err_set(e, EINVAL, "parent %s is not a committed snapshot", parent);
	return 0;
}

static int insert(struct state *st, struct snapshot *s, struct err *e)
{
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	uint64_t parent;
	int r = must_be_free(st, s->name, e);

	if (r == 0)
		r = parent_id(st, s->parent, &parent, e);
	if (r == 0)
		r = ask(st, &stmt, e,
			"INSERT INTO snapshots (name, parent, kind, created_ms, updated_ms, size,"
			" inodes, lazy) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			"sniiiiis", s->name, (int64_t)parent, (int64_t)s->kind, s->created_ms,
			s->created_ms, s->size, s->inodes, s->lazy ? s->lazy : "");
	if (r == 0)
		r = step(st, stmt, e);
	if (r == 0) {
		s->id = (uint64_t)sqlite3_last_insert_rowid(st->db);
		r = write_labels(st, s->id, &s->labels, e);
	}
	return r;
}

int state_create(struct state *st, struct snapshot *s,
		 int (*make_dir)(const struct snapshot *s, void *arg, struct err *e), void *arg,
		 struct err *e)
{
	int r;

	s->created_ms = clock_wall_ms();
	lock_guard(&st->lock);
	r = run_script(st, "BEGIN IMMEDIATE", e);
	if (r < 0)
		return r;
	r = insert(st, s, e);
	if (r == 0 && make_dir)
		r = make_dir(s, arg, e);
	return end(st, r, e);
}

static int commit(struct state *st, const char *key, const char *name, const char *parent,
		  const struct labels *labels, struct err *e)
{
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	struct snapshot s cleanup(snapshot_release) = {0};
	int64_t now = clock_wall_ms();
	uint64_t new_parent;
	int r = get(st, key, &s, e);

	if (r == 0 && s.kind != SNAPSHOT_ACTIVE)
		r = err_set(e, EINVAL, "snapshot %s is not active", key);
	if (r == 0)
		r = must_be_free(st, name, e);
	if (r == 0 && parent[0] && s.parent[0] && strcmp(parent, s.parent) != 0)
		r = err_set(e, EINVAL, "snapshot %s has another parent", key);
	if (r == 0)
		r = parent_id(st, parent[0] ? parent : s.parent, &new_parent, e);
	if (r == 0)
		r = ask(st, &stmt, e,
			"UPDATE snapshots SET name = ?, parent = ?, kind = ?, created_ms = ?,"
			" updated_ms = ? WHERE id = ?",
			"sniiii", name, (int64_t)new_parent, (int64_t)SNAPSHOT_COMMITTED, now, now,
			(int64_t)s.id);
	if (r == 0)
		r = step(st, stmt, e);
	return r < 0 ? r : write_labels(st, s.id, labels, e);
}

int state_commit(struct state *st, const char *key, const char *name, const char *parent,
		 const struct labels *labels, struct err *e)
{
	int r;

	lock_guard(&st->lock);
	r = run_script(st, "BEGIN IMMEDIATE", e);
	return r < 0 ? r : end(st, commit(st, key, name, parent, labels, e), e);
}

static int has_children(struct state *st, uint64_t id, struct err *e)
{
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	int r = ask(st, &stmt, e, "SELECT 1 FROM snapshots WHERE parent = ?", "i", (int64_t)id);

	return r < 0 ? r : step(st, stmt, e);
}

static int remove_row(struct state *st, const char *key, uint64_t *id_out, struct err *e)
{
	int kind, r = find(st, key, id_out, &kind, e);

	if (r < 0)
		return r;
	if (*id_out == 0)
		return err_set(e, ENOENT, "snapshot %s", key);
	r = has_children(st, *id_out, e);
	if (r > 0)
		return err_set(e, EBUSY, "snapshot %s has children", key);
	if (r == 0)
		r = run(st, e, "DELETE FROM snapshots WHERE id = ?", *id_out);
	return r < 0 ? r : run(st, e, "INSERT INTO removed VALUES (?)", *id_out);
}

int state_remove(struct state *st, const char *key, uint64_t *id_out, struct err *e)
{
	int r;

	lock_guard(&st->lock);
	r = run_script(st, "BEGIN IMMEDIATE", e);
	return r < 0 ? r : end(st, remove_row(st, key, id_out, e), e);
}

static int set_labels(struct state *st, const char *key, const struct labels *labels, struct err *e)
{
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	uint64_t id;
	int kind, r = find(st, key, &id, &kind, e);

	if (r < 0)
		return r;
	if (id == 0)
		return err_set(e, ENOENT, "snapshot %s", key);
	r = ask(st, &stmt, e, "UPDATE snapshots SET updated_ms = ? WHERE id = ?", "ii",
		clock_wall_ms(), (int64_t)id);
	if (r == 0)
		r = step(st, stmt, e);
	return r < 0 ? r : write_labels(st, id, labels, e);
}

int state_set_labels(struct state *st, const char *key, const struct labels *labels, struct err *e)
{
	int r;

	lock_guard(&st->lock);
	r = run_script(st, "BEGIN IMMEDIATE", e);
	return r < 0 ? r : end(st, set_labels(st, key, labels, e), e);
}

static int set_usage(struct state *st, uint64_t id, int64_t size, int64_t inodes, struct err *e)
{
	lock_guard(&st->lock);
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	int r;

	r = ask(st, &stmt, e, "UPDATE snapshots SET size = ?, inodes = ? WHERE id = ?", "iii", size,
		inodes, (int64_t)id);
	return r < 0 ? r : step(st, stmt, e);
}

void state_set_usage(struct state *st, uint64_t id, int64_t size, int64_t inodes)
{
	struct err e;

	if (set_usage(st, id, size, inodes, &e) < 0)
		log_warn("usage is not kept", "snapshot=%llu why=\"%s\"", (unsigned long long)id,
			 e.text);
}

/* ---- directories that have still to go */

static int has(struct state *st, uint64_t id)
{
	lock_guard(&st->lock);
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	int r;

	r = ask(st, &stmt, NULL, "SELECT 1 FROM snapshots WHERE id = ?", "i", (int64_t)id);
	return r < 0 ? r : step(st, stmt, NULL);
}

bool state_has(struct state *st, uint64_t id)
{
	return has(st, id) != 0;
}

int state_removed(struct state *st, uint64_t **out, size_t *count_out, struct err *e)
{
	lock_guard(&st->lock);
	sqlite3_stmt *stmt cleanup(reset_at) = NULL;
	uint64_t *list cleanup(free_at) = NULL;
	size_t count = 0;
	int r;

	r = ask(st, &stmt, e, "SELECT id FROM removed", "");
	while (r == 0 && (r = step(st, stmt, e)) > 0) {
		list = mem_realloc(list, (count + 1) * sizeof(*list));
		list[count++] = (uint64_t)sqlite3_column_int64(stmt, 0);
		r = 0;
	}
	if (r < 0)
		return r;
	*out = take_ptr(&list);
	*count_out = count;
	return 0;
}

static int forget(struct state *st, uint64_t id, struct err *e)
{
	lock_guard(&st->lock);
	return run(st, e, "DELETE FROM removed WHERE id = ?", id);
}

void state_forget_removed(struct state *st, uint64_t id)
{
	struct err e;

	/* Tried again with the next sweep. */
	if (forget(st, id, &e) < 0)
		log_warn("removed snapshot stays listed", "snapshot=%llu why=\"%s\"",
			 (unsigned long long)id, e.text);
}
