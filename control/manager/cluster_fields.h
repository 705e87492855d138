/* What clusters are made of, in all the routes that speak of them. */
#ifndef CONTROL_MANAGER_CLUSTER_FIELDS_H
#define CONTROL_MANAGER_CLUSTER_FIELDS_H

#include "control/manager/field.h"

extern const struct field scopes_fields[];
extern const struct field scheduler_cluster_config_fields[];
extern const struct field seed_peer_cluster_config_fields[];
extern const struct field peer_cluster_config_fields[];
extern const struct field cluster_fields[]; /* of /clusters */

#define FIELD_NAME                                                                                 \
	{                                                                                          \
		.name = "name", .type = FIELD_TEXT, .flags = FIELD_REQUIRED | FIELD_FILTER,        \
		.min = 1, .max = 256, .check = field_check_line                                    \
	}
#define FIELD_BIO                                                                                  \
	{                                                                                          \
		.name = "bio", .type = FIELD_TEXT, .max = 1024                                     \
	}

#endif
