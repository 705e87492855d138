/* People in the database: rows, passwords, roles. Must not know: HTTP. */
#ifndef CONTROL_MANAGER_USERS_H
#define CONTROL_MANAGER_USERS_H

#include "control/manager/db.h"

#define USERS_ROOT  "root"
#define USERS_GUEST "guest"

struct user {
	int64_t id, generation;
	char *name, *password; /* its hash */
	bool enabled, must_change;
};

void user_release(struct user *u);
/* By id, or by name when id is 0. ENOENT. */
must_check int users_get(struct db *db, int64_t id, const char *name, struct user *out,
			 struct err *e);
/* A user with the role guest. EEXIST. password NULL: none fits (OAuth). */
must_check int users_add(struct db *db, const char *name, const char *email, const char *password,
			 int64_t *id_out, struct err *e);
/* Ends all tokens of the user. */
must_check int users_set_password(struct db *db, int64_t id, const char *password, struct err *e);

/* EEXIST if the user has it, ENOENT if there is no such user or role. */
must_check int users_grant(struct db *db, int64_t id, const char *role, struct err *e);
/* ENOENT if the user has it not, EBUSY if nobody would be root any more. */
must_check int users_revoke(struct db *db, int64_t id, const char *role, struct err *e);

/*
 * At each start: the roles root (all objects, *) and guest (all objects, read), and the first user
 * if there is none: root with initial_password, which may be NULL: "dragonfly", to be changed.
 */
must_check int users_prepare(struct db *db, const char *const *objects, size_t count,
			     const char *initial_password, struct err *e);

#endif
