/*
 * A server program's main(): the same options (--config, --check-config, --print-config-reference,
 * --log-level, --log-dir), the same log, signals and exit codes for all of them.
 */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include "base/cli.h"

#include <signal.h>

/* Keys of every program; member: a bool of the program's struct. */
#define PROGRAM_CONFIG_KEYS(program, member)                                                       \
	{                                                                                          \
		.path = "verbose", .type = CONFIG_BOOL,                                            \
		.offset = offsetof(struct program, member), .fallback = "false",                   \
		.help = "The log has level debug, unless --log-level says "                        \
			"otherwise.",                                                              \
	}

struct program {
	const char *name, *summary, *description, *examples;
	const struct config_key *keys;
	const char *config_file; /* the default one, which may be absent */
	size_t config_size;
	size_t verbose; /* offset of PROGRAM_CONFIG_KEYS' member */
	/* What no single key can tell of the configuration; may be NULL. */
	int (*check)(const void *config, struct err *e);
	/* Serves until one of ends comes (sigwait() and its like; every thread has them blocked).
	 */
	int (*run)(const void *config, const sigset_t *ends, struct err *e);
};

/* What main() returns: 0 stopped by a signal, 1 could not start or had to stop, 2 usage, 3
 * configuration. */
int program_main(const struct program *p, int argc, char **argv);

#endif
