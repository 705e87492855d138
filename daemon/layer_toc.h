/* Makes the index of a layer that brings a table of contents of its own: of the table alone, which
 * is read through the layer's own task. */
#ifndef DAEMON_LAYER_TOC_H
#define DAEMON_LAYER_TOC_H

#include "daemon/vouch.h"

struct tasks;

/* Writes it to fd, an empty regular file; dir is for temporary files. Blocks on the network.
 * ENOTSUP: the layer has no table, or one that cannot be used; EBADMSG: another than its image
 * says; others as task_wait.h. */
must_check int layer_toc_build(struct tasks *ts, const struct vouched *v, const char *dir,
			       const bool *stopping, int fd, struct err *e);

#endif
