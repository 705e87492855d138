/* The tables, as migrations that lift a database of any kind from version to version. */
#ifndef CONTROL_MANAGER_DB_SCHEMA_H
#define CONTROL_MANAGER_DB_SCHEMA_H

#include "control/manager/db_driver.h"

/* The version of this program. */
int db_schema_version(void);
/* Lifts to `version` under the driver's lock; a new database also gets scheduler cluster 1 and seed
 * peer cluster 1, linked, the default. EPROTO: it is newer than this program; or older, and `may`
 * (database.mysql.migrate) is false. */
must_check int db_schema_migrate(const struct db_driver *driver, void *conn, int version, bool may,
				 struct err *e);

#endif
