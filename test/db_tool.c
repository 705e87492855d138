/*
 * Makes the manager's database as an earlier version had it: what an upgrade is tested with.
 *
 *	db_tool MANAGER.YAML VERSION	prints the newest version when VERSION is 0
 */
#include "control/manager/config.h"
#include "control/manager/db_schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int make(const struct db_config *c, int version, struct err *e)
{
	const struct db_driver *driver = db_driver_of(c->type);
	void *conn = NULL;
	int r;

	if (!driver)
		return err_set(e, ENOTSUP, "built without %s", c->type);
	r = driver->connect(c, &conn, e);
	if (r < 0)
		return r;
	r = db_schema_migrate(driver, conn, version, true, e);
	driver->close(conn);
	return r;
}

int main(int argc, char **argv)
{
	struct manager_config c = {0};
	struct err e = {0};
	int version, r;

	if (argc != 3)
		return 2;
	version = atoi(argv[2]);
	if (!version) {
		printf("%d\n", db_schema_version());
		return 0;
	}
	r = config_load(manager_config_keys, argv[1], &c, &e);
	if (r == 0) {
		struct db_config database = manager_config_database(&c);

		r = make(&database, version, &e);
	}
	config_release(manager_config_keys, &c);
	if (r < 0)
		fprintf(stderr, "db_tool: %s\n", e.text);
	return r < 0;
}
