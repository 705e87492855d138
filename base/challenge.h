/* WWW-Authenticate: what a registry wants to see. Source: RFC 9110 §11.6.1, RFC 6750 §3, and the
 * distribution project's token authentication. Pure. */
#ifndef BASE_CHALLENGE_H
#define BASE_CHALLENGE_H

#include "base/err.h"

#define CHALLENGE_VALUE_MAX 8192 /* bytes of one header value */

enum challenge_scheme { CHALLENGE_NONE, CHALLENGE_BASIC, CHALLENGE_BEARER };

struct challenge {
	enum challenge_scheme scheme;
	char *realm, *service, *scope; /* owned; NULL if absent */
};

/* Takes the best of the challenges in one header value: Bearer with a realm, then Basic; others are
 * passed over. *best keeps what it has unless a better one is found, so that several headers can be
 * given one after another. Start with a zeroed one. EPROTO: malformed, *best is as before. */
must_check int challenge_parse(const char *value, struct challenge *best, struct err *e);
void challenge_release(struct challenge *c);

#endif
