/*
 * JSON web tokens, HS256 and nothing else. The newest key signs, older ones are good for as long as
 * tokens of theirs live; keys lie sealed in the database and change by themselves, or one is given
 * by the configuration and never changes.
 */
#ifndef CONTROL_MANAGER_JWT_H
#define CONTROL_MANAGER_JWT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct db;
struct vault;
struct jwt;

struct jwt_config {
	const char *key; /* NULL = from the database */
	int64_t life_ms, refresh_ms, rotate_ms;
};

struct jwt_claims {
	int64_t user_id;
	int64_t generation; /* of the user's password: a new one ends older tokens */
	int64_t orig_iat_s, exp_s;
};

must_check int jwt_open(const struct jwt_config *config, struct db *db, const struct vault *vault,
			struct jwt **out, struct err *e);
void jwt_free(struct jwt *j);

/* Signs; claims->exp_s is set by it, orig_iat_s too if it is 0. The caller frees *out. */
must_check int jwt_issue(struct jwt *j, struct jwt_claims *claims, char **out, struct err *e);
/* Whether the token is ours and whole, and lives: or, for_refresh, may be refreshed. */
bool jwt_verify(struct jwt *j, const char *token, bool for_refresh, struct jwt_claims *out);

#endif
