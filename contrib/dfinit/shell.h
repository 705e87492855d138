/* Shell commands with a deadline. */
#ifndef CONTRIB_DFINIT_SHELL_H
#define CONTRIB_DFINIT_SHELL_H

#include "base/err.h"

#include <stdint.h>

/* sh -c script with $1 and $2 (may be NULL); its output goes to our standard error. EIO: it ended
 * with another code than 0, ETIMEDOUT: it was killed. */
must_check int shell_run(const char *script, const char *arg1, const char *arg2, int64_t timeout_ms,
			 struct err *e);

#endif
