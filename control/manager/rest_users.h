/* Routes of /users. */
#ifndef CONTROL_MANAGER_REST_USERS_H
#define CONTROL_MANAGER_REST_USERS_H

#include "control/manager/rest.h"

extern const struct route rest_users_routes[];

/* Signs the user in: sets the cookie; *expire_out gets the time as text. */
must_check int rest_users_sign_in(struct rest_call *c, int64_t id, int64_t generation,
				  int64_t orig_iat_s, char **token_out, char expire_out[32],
				  struct err *e);

#endif
