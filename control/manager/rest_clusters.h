/* Routes of /clusters. */
#ifndef CONTROL_MANAGER_REST_CLUSTERS_H
#define CONTROL_MANAGER_REST_CLUSTERS_H

#include "control/manager/rest.h"

extern const struct route rest_clusters_routes[];

#endif
