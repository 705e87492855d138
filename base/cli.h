/* Command lines by table: one table gives parsing, --help, the man page and shell completions. */
#ifndef BASE_CLI_H
#define BASE_CLI_H

#include "base/config.h"

/* Exit codes shared by all programs (docs/reference/exit-codes.md). */
enum cli_exit {
	EXIT_DONE = 0,
	EXIT_OTHER = 1,
	EXIT_USAGE = 2,
	EXIT_CONFIG = 3,
	EXIT_NOT_FOUND = 4,
	EXIT_NOT_ALLOWED = 5,
	EXIT_NETWORK = 6,
	EXIT_TIMED_OUT = 7,
	EXIT_MISMATCH = 8,
	EXIT_NO_SPACE = 9,
	EXIT_OUTPUT = 10,
	EXIT_NO_DAEMON = 11,
	EXIT_NO_P2P = 12,
	EXIT_BUSY = 13,
	EXIT_PARTLY = 14,
};

enum cli_type { CLI_FLAG, CLI_TEXT, CLI_TEXTS, CLI_U64, CLI_BYTES, CLI_DURATION };

struct cli_option {
	const char *name; /* long name without dashes */
	char letter;	  /* 0 = none */
	enum cli_type type;
	size_t offset; /* FLAG bool, TEXT const char *, TEXTS struct config_strings, U64/BYTES
			  uint64_t, DURATION int64_t ms */
	const char *value_name; /* "FILE" */
	const char *env;	/* variable that gives the default, NULL = none */
	const char *help;
};

struct cli;

/* A subcommand: a command line of its own, shown in its program's help, page and completions. */
struct cli_command {
	const char *name; /* "doctor"; its cli's program is "dfctl doctor" */
	const struct cli *cli;
};

struct cli {
	const char *program, *summary;	    /* summary: one line */
	const char *usage;		    /* "dfget [options] URL -O FILE" */
	const char *description;	    /* paragraphs */
	const char *examples;		    /* lines "command  # what it does" */
	const struct cli_option *options;   /* ends with name NULL */
	const char *exit_codes;		    /* lines for the man page; NULL = none */
	const struct cli_command *commands; /* ends with name NULL; NULL = none */
};

/* Fills *out (variables of the environment first, then the command line; the last one wins, TEXTS
 * collect) and the positionals (point into argv; array of argc entries given by the caller). Long
 * options as --opt=value or --opt value, letters as -o value, -ovalue or grouped; "--" ends them.
 * --help, -V/--version, --man and --completion=bash|zsh|fish print and exit 0. A usage error
 * prints what is wrong, the nearest option and a hint to --help, and exits 2. Returns the number
 * of positionals. */
int cli_parse(const struct cli *c, int argc, char **argv, void *out, const char **positionals);

/* "program: what is wrong", the hint to --help, exit 2: for what no single option can tell. */
void cli_usage_error(const struct cli *c, const char *fmt, ...) printf_like(2, 3)
	__attribute__((noreturn));

#endif
