/* Regular expressions of strangers: POSIX extended, and only those whose cost is bounded. */
#ifndef CONTROL_MANAGER_EXPRESSION_H
#define CONTROL_MANAGER_EXPRESSION_H

#include "base/err.h"

/* EINVAL says what is wrong with it. */
must_check int expression_check(const char *text, struct err *e);

#endif
