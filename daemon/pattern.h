/*
 * Regular expressions as they stand in configuration files. POSIX extended syntax, and of what
 * people write for Dragonfly (Rust's syntax) that which has the same meaning: a leading (?i),
 * (?:...), \d, \D and lazy quantifiers. What would silently mean something else is refused.
 */
#ifndef DAEMON_PATTERN_H
#define DAEMON_PATTERN_H

#include "base/err.h"

#include <stdbool.h>

struct pattern;

/* EINVAL: which part is not understood. */
must_check int pattern_new(const char *text, struct pattern **out, struct err *e);
void pattern_free(struct pattern *p);
/* Anywhere in text. */
bool pattern_matches(const struct pattern *p, const char *text);

#endif
