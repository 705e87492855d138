/* Routes of what is one table of the database each. */
#ifndef CONTROL_MANAGER_REST_TABLES_H
#define CONTROL_MANAGER_REST_TABLES_H

#include "control/manager/rest.h"

extern const struct route rest_tables_routes[];	 /* clusters' parts and members */
extern const struct route rest_records_routes[]; /* configs, applications, tokens, oauth, audits */

#endif
