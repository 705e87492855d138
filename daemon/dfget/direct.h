/* A download without a daemon: straight from the origin, with its digest checked and resumed from a
 * partial file. */
#ifndef DAEMON_DFGET_DIRECT_H
#define DAEMON_DFGET_DIRECT_H

#include "daemon/dfget/conversation.h"

/* out_fd as in conversation_run; otherwise o->output_path by way of "<output>.dfget-part". */
void direct_run(const struct options *o, int out_fd, struct progress *p, struct result *out);

#endif
