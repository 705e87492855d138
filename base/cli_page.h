/* What a program says about itself, from its table of options. */
#ifndef BASE_CLI_PAGE_H
#define BASE_CLI_PAGE_H

#include "base/cli.h"

/* The options that every program has; ends with name NULL. */
extern const struct cli_option cli_common_options[];

void cli_print_help(const struct cli *c, FILE *out);
/* A page for man(1), in roff's man macros. */
void cli_print_man(const struct cli *c, FILE *out);
/* False if shell is none of bash, zsh, fish. */
bool cli_print_completion(const struct cli *c, const char *shell, FILE *out);

#endif
