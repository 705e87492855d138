/* URLs of http and https, parsed strictly. */
#ifndef BASE_URL_H
#define BASE_URL_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct url {
	char scheme[8];	   /* "http" | "https", lower case */
	char host[256];	   /* lower case, no brackets around IPv6 */
	uint16_t port;	   /* the scheme's default if none was given */
	bool port_default; /* port is the scheme's default */
	char *path;	   /* starts with '/', as given; never NULL after url_parse */
	char *query;	   /* without '?'; NULL if none */
};

/* EINVAL with what is wrong: scheme, userinfo, control characters, blanks, length > 16 KiB. A
 * fragment is dropped. */
must_check int url_parse(const char *text, struct url *out, struct err *e);
void url_release(struct url *u);
/* "host", "host:port", "[v6]:port": what a Host header says. */
void url_authority(const struct url *u, char *text, size_t size);
/* The whole URL again. The caller frees. */
char *url_print(const struct url *u);
/* Value of a query parameter, percent-decoded; NULL if absent. The caller frees. */
char *url_query_get(const char *query, const char *name);
/* The query without the named parameters, order kept; NULL if nothing is left. */
char *url_query_without(const char *query, const char *const *names, size_t count);
/* Percent-decodes in place; false on a bad escape or an encoded NUL. */
bool url_decode(char *text);
/* Percent-encodes everything but unreserved characters. The caller frees. */
char *url_encode(const char *text);
/* Resolves a Location header against base; EINVAL if the result is not http(s). */
must_check int url_join(const struct url *base, const char *ref, struct url *out, struct err *e);
bool url_same_origin(const struct url *a, const struct url *b);

#endif
