/* dfctl's commands: each has its own command line and its own file. */
#ifndef CONTRIB_DFCTL_COMMAND_H
#define CONTRIB_DFCTL_COMMAND_H

#include "base/cli.h"

#define DAEMON_SOCKET "/var/run/dragonfly/dfdaemon.sock"

/* The row of an option table for the daemon that is asked: offset is of a const char *, which is
 * DAEMON_SOCKET at first. */
#define COMMAND_ENDPOINT(offset)                                                                   \
	{                                                                                          \
		"endpoint", 'e', CLI_TEXT, (offset), "SOCKET", "DFGET_ENDPOINT",                   \
			"The daemon's socket. Default " DAEMON_SOCKET "."                          \
	}

struct command {
	const char *name;
	const struct cli *cli;
	/* argv[0] is the command's name. Returns an exit code. */
	int (*run)(int argc, char **argv);
};

extern const struct command commands[]; /* ends with name NULL */

#define COMMAND(name)                                                                              \
	extern const struct cli name##_cli;                                                        \
	int name##_run(int argc, char **argv)

COMMAND(doctor);
COMMAND(explain);
COMMAND(task);
COMMAND(top);
COMMAND(preheat);
COMMAND(log_level);
COMMAND(bugreport);
COMMAND(errors);
COMMAND(config_show);

/* "dfctl: what is wrong" on standard error, with the error code behind the exit code, which it
 * returns. */
int command_fail(enum cli_exit code, const char *fmt, ...) printf_like(2, 3);

/* For an option that may be given again: cleanup(command_texts_release) on a pointer to it. */
void command_texts_release(struct config_strings **texts);

#endif
