/*
 * Everything that dfctl can find wrong, by code: what it is, what it does to pulls, what helps. One
 * table for doctor's findings, explain's verdicts, "dfctl errors" and docs/reference/errors.md.
 */
#ifndef CONTRIB_DFCTL_FAULT_H
#define CONTRIB_DFCTL_FAULT_H

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

#endif
