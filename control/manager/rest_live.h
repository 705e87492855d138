/* Routes of /api/v2: what goes on now. */
#ifndef CONTROL_MANAGER_REST_LIVE_H
#define CONTROL_MANAGER_REST_LIVE_H

#include "control/manager/rest.h"

extern const struct route rest_live_routes[];

#endif
