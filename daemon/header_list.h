/* Request headers: the caller's pairs, and the list that curl takes. */
#ifndef DAEMON_HEADER_LIST_H
#define DAEMON_HEADER_LIST_H

#include "base/config.h"
#include "base/err.h"

#include <curl/curl.h>

/* Appends "name: value"; returns the list's new head. */
must_check struct curl_slist *header_list_add(struct curl_slist *list, const char *name,
					      const char *value);
/* Appends what makes curl leave out a header of its own. */
must_check struct curl_slist *header_list_suppress(struct curl_slist *list, const char *name);
void header_list_free_at(struct curl_slist **list);

/* NULL if absent. Case-insensitive; pairs may be NULL. */
const char *header_pairs_get(const struct config_pairs *pairs, const char *name);
/* EINVAL: a name or value that may not go on the wire. */
must_check int header_pairs_check(const struct config_pairs *pairs, struct err *e);
/* Never passed on from a caller: what belongs to one connection or is the transport's to say. */
bool header_is_transports(const char *name);

#endif
