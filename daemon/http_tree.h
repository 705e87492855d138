/*
 * http/ and https/ of the mount: what a name is, is for its origin to say. The kernel looks names
 *up one by one, so it must be decided of each whether it is a file or a directory:
 *
 *	the host						a directory, nobody is asked
 *	2xx							a file
 *	2xx or an error after a redirect to the name with '/'	a directory
 *	404, 410, and the same with '/' at the end		ENOENT
 *	any other answer (401, 403, 405, ...)			a directory
 *	no answer, 5xx, 429					a file if the cluster knows it, a
 *								directory if something known is
 *below it, else the error
 *
 * A name with a query or a %2F cannot be a directory: 401 and 403 are EACCES then. "Directory" is
 * remembered for a minute.
 */
#ifndef DAEMON_HTTP_TREE_H
#define DAEMON_HTTP_TREE_H

#include "daemon/blobs_private.h"

struct http_tree *http_tree_new(struct blobs *b);
void http_tree_free(struct http_tree *t);

/* path: "http/..." or "https/...". */
void http_tree_lookup(struct blobs *b, const char *path, struct fs_lookup *ask);
/* What is here: of path "http", "https" or below. */
void http_tree_list(struct blobs *b, const char *path, fs_list_fn fn, void *arg);

#endif
