/*
 * Names in http/ and https/ of the mount <-> URLs. Pure.
 *
 *	https/<host[:port]>/<name>/<name>	https://<host[:port]>/<name>/<name>
 *
 * A '?' in the last name begins the query. %2F in a name is a '/' of the URL, so one name can hold
 * any path; other percent escapes are the URL's own. Bytes that a URL cannot have are escaped.
 */
#ifndef DAEMON_MOUNT_PATH_H
#define DAEMON_MOUNT_PATH_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct mount_path {
	char *url;	/* owned; NULL: the path is that of a host */
	char host[256]; /* as base/url.h has it */
	uint16_t port;
	bool only_file; /* the last name has a query or a %2F: it cannot be a directory */
};

/* path: "http/..." or "https/..." with at least a host. ENOENT: it can be no URL. */
must_check int mount_path_parse(const char *path, struct mount_path *out, struct err *e);
void mount_path_release(struct mount_path *p);
/* "https/host/a/b?q=x%2Fy"; NULL if url is none of http or https. The caller frees. */
char *mount_path_of_url(const char *url);

/* If path is below dir ("" is the root): the length of the next name in it, and where it starts in
 * *name_out. 0 if it is not below. */
size_t mount_path_below(const char *dir, const char *path, const char **name_out);

#endif
