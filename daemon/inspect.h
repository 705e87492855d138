/* What dfctl asks the daemon on its unix socket (proto/skimmer_v1.proto): from memory, at once. */
#ifndef DAEMON_INSPECT_H
#define DAEMON_INSPECT_H

#include "daemon/history.h"
#include "proto/rpc.h"

struct scheduler_client;

/* The methods' arg; borrowed by the server. */
struct inspect {
	struct history *history;
	struct scheduler_client *scheduler; /* NULL = none */
	const char *host_id;
	uint64_t download_limit, origin_limit, upload_limit;
};

extern const struct rpc_method inspect_methods[];

#endif
