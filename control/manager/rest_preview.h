/* /api/v2/clusters/preview: which of the known peers would belong to a cluster with such scopes. */
#ifndef CONTROL_MANAGER_REST_PREVIEW_H
#define CONTROL_MANAGER_REST_PREVIEW_H

#include "control/manager/rest.h"

extern const struct route rest_preview_routes[];

#endif
