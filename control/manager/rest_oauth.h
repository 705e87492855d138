/* Routes of signing in with GitHub and Google. */
#ifndef CONTROL_MANAGER_REST_OAUTH_H
#define CONTROL_MANAGER_REST_OAUTH_H

#include "control/manager/rest.h"

extern const struct route rest_oauth_routes[];

#endif
