/* Which hosts the mount may reach on a reader's word. */
#ifndef DAEMON_REACH_H
#define DAEMON_REACH_H

#include "base/config.h"

/* EACCES unless a pattern ('*' stands for any text) matches host or host:port; no patterns: every
 * host may be reached. Literal link-local and metadata addresses never; names that lead to one are
 * refused by the origin when it connects. */
must_check int reach_check(const struct config_strings *patterns, const char *host, uint16_t port,
			   struct err *e);

#endif
