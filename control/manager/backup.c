/* A copy of the database while the manager runs. */
#include "control/manager/backup.h"

#include "base/cli.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/manager/config.h"
#include "control/manager/db.h"

#include <errno.h>
#include <string.h>

struct options {
	const char *config;
};

static const struct cli_option option_table[] = {
	{"config", 'c', CLI_TEXT, offsetof(struct options, config), "FILE", NULL,
	 "The manager's configuration file. Default: " MANAGER_CONFIG_FILE
	 ", which may be absent."},
	{0},
};

static const struct cli cli = {
	.program = "manager backup",
	.summary = "copies the manager's database into a new file",
	.usage = "manager backup [options] FILE",
	.description =
		"The copy is whole and consistent, and the manager may run meanwhile. The key "
		"file (auth.keyFile) is not in it: without it a restored manager cannot read "
		"its secrets, so keep a copy of that too, elsewhere.",
	.examples = "manager backup /backup/manager-$(date +%F).db  # every night",
	.options = option_table,
	.exit_codes = "0 done\n1 failed\n2 wrong usage\n3 the configuration is wrong\n",
};

static int load(const struct options *o, struct manager_config *c, struct err *e)
{
	int r = config_load(manager_config_keys, o->config ? o->config : MANAGER_CONFIG_FILE, c, e);

	if (r == -ENOENT && !o->config) {
		config_defaults(manager_config_keys, c);
		r = 0;
	}
	return r;
}

static int back_up(const struct manager_config *c, const char *file, struct err *e)
{
	struct db *db = NULL;
	int r;

	if (strcmp(c->database_type, "sqlite") != 0)
		return err_set(e, ENOTSUP, "database.type is %s: use %s", c->database_type,
			       strcmp(c->database_type, "postgres") == 0 ? "pg_dump"
									 : "mariadb-dump");
	/* Opening makes what is not there: a backup of nothing would be one of an empty database.
	 */
	if (access(c->database_path, F_OK) < 0)
		return err_set(e, errno, "the database %s", c->database_path);
	r = db_open(c->database_path, &db, e);
	if (r == 0)
		r = db_backup(db, file, e);
	db_close(db);
	return r;
}

int backup_main(int argc, char **argv)
{
	const char **files cleanup(free_at) = mem_array((size_t)argc, sizeof(*files));
	struct manager_config c = {0};
	struct options o = {0};
	struct err e = {0};
	int code = EXIT_DONE;

	if (cli_parse(&cli, argc, argv, &o, files) != 1)
		cli_usage_error(&cli, "one FILE is needed");
	if (load(&o, &c, &e) < 0)
		code = EXIT_CONFIG;
	else if (back_up(&c, files[0], &e) < 0)
		code = EXIT_OTHER;
	if (code != EXIT_DONE)
		fault_tell("manager backup", err_fault(&e), e.text);
	config_release(manager_config_keys, &c);
	return code;
}
