/* Routes of /jobs and of the old /preheats. */
#ifndef CONTROL_MANAGER_REST_JOBS_H
#define CONTROL_MANAGER_REST_JOBS_H

#include "control/manager/rest.h"

extern const struct route rest_jobs_routes[];

#endif
