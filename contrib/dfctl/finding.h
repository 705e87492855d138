/* What doctor found, one by one, and how it is shown. */
#ifndef CONTRIB_DFCTL_FINDING_H
#define CONTRIB_DFCTL_FINDING_H

#include "base/cleanup.h"
#include "base/fault.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum finding_level { FINDING_OK, FINDING_WARNING, FINDING_ERROR };

struct finding {
	enum finding_level level;
	const char *check;	   /* a constant: "clock" */
	const struct fault *fault; /* NULL = good */
	char *what, *fix;	   /* of this case; fix NULL = the fault's */
};

struct findings {
	struct finding *list;
	size_t count;
};

void findings_good(struct findings *fs, const char *check, const char *fmt, ...) printf_like(3, 4);
/* what and fix are taken over (allocated; fix may be NULL); code must be in the table. */
void findings_add(struct findings *fs, enum finding_level level, const char *check,
		  const char *code, char *what, char *fix);
void findings_release(struct findings *fs);
unsigned findings_count(const struct findings *fs, enum finding_level level);
/* Errors first, then warnings, then what is good. */
void findings_print(const struct findings *fs, bool all, FILE *out);
/* A new reference. */
json_t *findings_json(const struct findings *fs);

#endif
