/* Routes of /roles and /permissions. */
#ifndef CONTROL_MANAGER_REST_ROLES_H
#define CONTROL_MANAGER_REST_ROLES_H

#include "control/manager/rest.h"

extern const struct route rest_roles_routes[];

/* What permissions are about: each first part of a path below /api/v1 that needs a user. Fills at
 * most max texts of the caller and returns how many. */
size_t rest_roles_objects(char (*out)[64], size_t max);

#endif
