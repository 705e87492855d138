/*
 * What other members say that a task's content is. Pieces come without TLS, gRPC comes with it
 * where members are authenticated (proto/rpc_tls.h): so whoever changed bytes under way is found
 * out by the word of a member who has all of them.
 *
 * Must not know: which tasks need such a word.
 */
#ifndef DAEMON_WITNESS_H
#define DAEMON_WITNESS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct witness {
	char ip[64];
	uint16_t port; /* gRPC (DfdaemonUpload) */
};

/* 0: one of them has content of that SHA-256 (64 hex) and believes it. EBADMSG: it is another's;
 * EHOSTUNREACH: none of them can tell, now. Blocks for at most 5 s; cancelled: atomic. */
must_check int witness_ask(const char *task_id, const char *sha256_hex, const struct witness *list,
			   unsigned count, const bool *cancelled, struct err *e);

#endif
