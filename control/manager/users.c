/* Users and roles in the database. */
#include "control/manager/users.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/manager/password.h"

#include <errno.h>
#include <string.h>

#define FIRST_PASSWORD "dragonfly"

void user_release(struct user *u)
{
	free(u->name);
	free(u->password);
	*u = (struct user){0};
}

int users_get(struct db *db, int64_t id, const char *name, struct user *out, struct err *e)
{
	struct query q;
	bool found;
	int r;

	query_start(db, &q, e,
		    "SELECT id, generation, name, password, state, must_change_password FROM users"
		    " WHERE (? <> 0 AND id = ?) OR (? = 0 AND name = ?)",
		    "iiis", id, id, id, name);
	found = query_next(&q);
	if (found)
		*out = (struct user){
			.id = query_int(&q, 0),
			.generation = query_int(&q, 1),
			.name = mem_strdup(query_text(&q, 2)),
			.password = mem_strdup(query_text(&q, 3)),
			.enabled = strcmp(query_text(&q, 4), "enable") == 0,
			.must_change = query_int(&q, 5) != 0,
		};
	r = query_end(&q);
	return r == 0 && !found ? err_set(e, ENOENT, "no such user") : r;
}

static int add(struct db *db, const char *name, const char *email, const char *hash,
	       const char *role, int64_t *id_out, struct err *e)
{
	int64_t now = clock_wall_ms();
	int r = db_number(db, id_out, e,
			  "INSERT INTO users (name, email, password, created_ms, updated_ms)"
			  " VALUES (?, ?, ?, ?, ?) RETURNING id",
			  "sssii", name, email && *email ? email : NULL, hash, now, now);

	if (r == -EEXIST)
		return err_set(e, EEXIST, "there is a user of this name or e-mail already");
	return r < 0 ? r : users_grant(db, *id_out, role, e);
}

int users_add(struct db *db, const char *name, const char *email, const char *password,
	      int64_t *id_out, struct err *e)
{
	char *hash cleanup(free_at) = password ? password_hash(password) : mem_strdup("!");
	int r = db_begin(db, e);

	return r < 0 ? r : db_finish(db, add(db, name, email, hash, USERS_GUEST, id_out, e), e);
}

int users_set_password(struct db *db, int64_t id, const char *password, struct err *e)
{
	char *hash cleanup(free_at) = password_hash(password);

	return db_run(db, NULL, e,
		      "UPDATE users SET password = ?, generation = generation + 1,"
		      " must_change_password = 0, updated_ms = ? WHERE id = ?",
		      "sii", hash, clock_wall_ms(), id);
}

/* ---- roles */

int users_grant(struct db *db, int64_t id, const char *role, struct err *e)
{
	int r = db_run(db, NULL, e, "INSERT INTO user_roles (user_id, role) VALUES (?, ?)", "is",
		       id, role);

	if (r == -EINVAL)
		return err_set(e, ENOENT, "no such user or role");
	if (r == -EEXIST)
		return err_set(e, EEXIST, "the user has this role already");
	return r;
}

static int take_role(struct db *db, int64_t id, const char *role, struct err *e)
{
	int64_t changed = 0, left = 1;
	int r = db_run(db, &changed, e, "DELETE FROM user_roles WHERE user_id = ? AND role = ?",
		       "is", id, role);

	if (r == 0 && !changed)
		return err_set(e, ENOENT, "the user has no such role");
	if (r == 0 && strcmp(role, USERS_ROOT) == 0)
		r = db_number(db, &left, e,
			      "SELECT COUNT(*) FROM user_roles r JOIN users u ON u.id = r.user_id"
			      " WHERE r.role = '" USERS_ROOT "' AND u.state = 'enable'",
			      "");
	if (r == 0 && !left)
		return err_set(e, EBUSY, "this is the last user with the role " USERS_ROOT);
	return r;
}

int users_revoke(struct db *db, int64_t id, const char *role, struct err *e)
{
	int r = db_begin(db, e);

	return r < 0 ? r : db_finish(db, take_role(db, id, role, e), e);
}

/* ---- the first start, and each */

static int make_role(struct db *db, const char *role, const char *action,
		     const char *const *objects, size_t count, struct err *e)
{
	int r = db_run(db, NULL, e,
		       "INSERT INTO roles (name) SELECT ? WHERE NOT EXISTS"
		       " (SELECT 1 FROM roles WHERE name = ?)",
		       "ss", role, role);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = db_run(db, NULL, e,
			   "INSERT INTO role_permissions (role, object, action) SELECT ?, ?, ?"
			   " WHERE NOT EXISTS (SELECT 1 FROM role_permissions"
			   " WHERE role = ? AND object = ? AND action = ?)",
			   "ssssss", role, objects[i], action, role, objects[i], action);
	return r;
}

static int make_root(struct db *db, const char *hash, bool must_change, struct err *e)
{
	int64_t users = 0, id = 0;
	int r = db_number(db, &users, e, "SELECT COUNT(*) FROM users", "");

	if (r < 0 || users)
		return r;
	r = add(db, USERS_ROOT, NULL, hash, USERS_ROOT, &id, e);
	if (r == 0)
		r = db_run(db, NULL, e, "UPDATE users SET must_change_password = ? WHERE id = ?",
			   "ii", (int64_t)must_change, id);
	return r;
}

static int prepare(struct db *db, const char *const *objects, size_t count, const char *hash,
		   bool must_change, struct err *e)
{
	int r = make_role(db, USERS_ROOT, "*", objects, count, e);

	if (r == 0)
		r = make_role(db, USERS_GUEST, "read", objects, count, e);
	return r < 0 ? r : make_root(db, hash, must_change, e);
}

int users_prepare(struct db *db, const char *const *objects, size_t count,
		  const char *initial_password, struct err *e)
{
	char *hash cleanup(free_at) = NULL;
	int64_t users = 0;
	int r = db_number(db, &users, e, "SELECT COUNT(*) FROM users", "");

	if (r < 0)
		return r;
	if (!users) {
		const char *password = initial_password ? initial_password : FIRST_PASSWORD;
		size_t len = strlen(password);

		if (len < PASSWORD_LEN_MIN || len > PASSWORD_LEN_MAX)
			return err_set(e, EINVAL, "the initial password must have %d to %d bytes",
				       PASSWORD_LEN_MIN, PASSWORD_LEN_MAX);
		hash = password_hash(password);
	}
	r = db_begin(db, e);
	if (r == 0)
		r = db_finish(db, prepare(db, objects, count, hash, !initial_password, e), e);
	if (r == 0 && !users)
		log_info("first user made", "name=%s", USERS_ROOT);
	return r;
}
