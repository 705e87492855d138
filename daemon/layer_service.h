/* skimmer.v1.Layers on the daemon's unix socket: between the wire and layers.h. */
#ifndef DAEMON_LAYER_SERVICE_H
#define DAEMON_LAYER_SERVICE_H

#include "daemon/starts.h"
#include "proto/rpc.h"

struct layer_service;

/* mount: where the session of diffs.h is; trees: that of layer_trees.h, NULL = EROFS shows layers.
 * Both are copied. */
struct layer_service *layer_service_new(struct layers *layers, struct starts *starts,
					const char *mount, const char *trees);
/* After the server. NULL is fine. */
void layer_service_free(struct layer_service *s);
/* Their arg is the service. */
extern const struct rpc_method layer_service_methods[];

#endif
