/*
 * Everything that can be wrong and that a person can do something about, by code: what it is, what
 * it does to pulls, what helps. One table for what programs say when they fail, lines of the log at
 * level error, `dfctl doctor`'s findings, `explain`'s verdicts, "dfctl errors" and
 * docs/reference/errors.md. A code is a kind of fault, not a place in the code. The texts name
 * programs and keys for the reader; nothing here knows them.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "base/err.h"

#include <stdio.h>

struct fault {
	const char *code; /* "SK110"; never given to another fault */
	const char *name;
	const char *cause, *effect, *fix; /* in general; a finding tells of the case */
};

extern const struct fault faults[]; /* ends with code NULL */

/* NULL: there is none of this code. */
const struct fault *fault_find(const char *code);
/* docs/reference/errors.md, without its title. */
void faults_print_reference(FILE *out);

/* The fault behind an exit code of base/cli.h, for who knows no better. Never NULL. */
const char *fault_of_exit(int exit);
/* Tells on standard error why a program goes no further: "<program>: <text>", and in a second line
 * the code, its name and what helps in general. */
void fault_tell(const char *program, const char *code, const char *text);

#endif
