/* One download asked of the daemon over its socket (DfdaemonDownload.DownloadTask). */
#ifndef DAEMON_DFGET_CONVERSATION_H
#define DAEMON_DFGET_CONVERSATION_H

#include "base/cli.h"
#include "daemon/dfget/options.h"
#include "daemon/dfget/progress.h"

struct result {
	enum cli_exit exit;
	bool no_daemon;	   /* nobody answers on the socket: nothing was done */
	bool direct;	   /* read from the origin, without a daemon */
	char task_id[129]; /* "" if unknown */
	struct err err;	   /* set unless exit is EXIT_DONE */
	struct tally tally;
};

/* Blocks until it is over, shows the progress on the way. Ctrl-C and SIGTERM end it (the caller has
 * blocked both in every thread): exit 128 + signal. With out_fd >= 0 the bytes are taken over the
 * socket and written there in order. */
void conversation_run(const struct options *o, int out_fd, struct progress *p, struct result *out);

#endif
