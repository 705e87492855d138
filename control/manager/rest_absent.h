/* Routes of Dragonfly's manager for what Skimmer does not have. */
#ifndef CONTROL_MANAGER_REST_ABSENT_H
#define CONTROL_MANAGER_REST_ABSENT_H

#include "control/manager/rest.h"

extern const struct route rest_absent_routes[];

#endif
