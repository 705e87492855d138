/* Did a pull go through the daemon? Its own counter tells. */
#ifndef CONTRIB_DFINIT_PROBE_H
#define CONTRIB_DFINIT_PROBE_H

#include "base/err.h"

#include <stdint.h>

/* Requests that the daemon's mirror has had, from its metrics page (http://host:port/path).
 * ECONNREFUSED and the like: no daemon; EPROTO: the page has no such counter. */
must_check int probe_requests(const char *metrics_url, uint64_t *out, struct err *e);

#endif
