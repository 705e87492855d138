/* Who asks, and whether they may: tokens, roles, and where a browser's request comes from. */
#ifndef CONTROL_MANAGER_ACCESS_H
#define CONTROL_MANAGER_ACCESS_H

#include "control/manager/jwt.h"
#include "control/manager/rest.h"

/* CORS: says nothing unless the origin is one of the configured. */
void access_origin(struct rest_call *c);
/* Fills in who asks. False: refused, the answer says why. */
bool access_check(struct rest_call *c);

/* Whether a public request comes from a user whose roles permit the route; says nothing. */
bool access_permits(struct rest_call *c);

/* The value of a cookie; NULL if there is none. The caller frees. */
char *access_cookie(const struct rest_call *c, const char *name);
/* A token of the request that is good, wherever it stands. */
bool access_token(struct rest_call *c, bool for_refresh, struct jwt_claims *out);
/* The first part of a route's path behind "/api/v1/" or "/api/v2/": what permissions are about. */
void access_object(const char *path, char *out, size_t size);
/* Whether a browser sent this from a page that is not ours. */
bool access_foreign(const struct rest_call *c);

/* SHA-256 of a personal access token, which is what the database has of it. */
void access_hash(const char *token, char hex_out[65]);

#endif
