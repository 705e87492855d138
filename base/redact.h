/* Takes secrets out of text that people will read. */
#ifndef BASE_REDACT_H
#define BASE_REDACT_H

#include "base/buf.h"

#include <stdbool.h>

#define REDACTED "[redacted]"

/* A key whose value is a secret: authorization, token, password, cookie and their like, in any
 * case, alone or as the last word of "proxy-authorization", "access_token", "setCookie". */
bool redact_is_secret_key(const char *key, size_t len);

/* Appends text with every secret in it replaced: what follows "Bearer " and "Basic ", what follows
 * "authorization:" and "cookie:" to the end of the line, the values of token=, password=, and
 * signature= (as in URLs), and user:password@ in URLs. */
void redact_append(struct buf *out, const char *text, size_t len);

#endif
