/* base64url without padding (RFC 4648, section 5). */
#ifndef CONTROL_MANAGER_BASE64URL_H
#define CONTROL_MANAGER_BASE64URL_H

#include "base/buf.h"

/* The caller frees. */
char *base64url_encode(const void *data, size_t len);
/* Appends the bytes of exactly len characters; false if they are none of ours or not canonical. */
bool base64url_decode(const char *text, size_t len, struct buf *out);

#endif
