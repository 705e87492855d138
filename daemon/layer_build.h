/*
 * Builds the index of a layer while the layer streams by for the first time in the cluster. Whoever
 * fetches a layer's first bytes from the registry builds: the seed peer, or any node where there is
 * none. The index then is a task of the cluster (layers_index_name()).
 */
#ifndef DAEMON_LAYER_BUILD_H
#define DAEMON_LAYER_BUILD_H

#include "daemon/tasks.h"

struct layer_build;

struct layer_build_config {
	struct tasks *tasks; /* borrowed */
	const char *dir;     /* for what is being built; exists */
	uint64_t least_len;  /* blobs shorter than that are left alone */
};

/* From now on it looks at the tasks that are opened. */
struct layer_build *layer_build_new(const struct layer_build_config *c);
/* Stops what is being built. Before tasks_free(). NULL is fine. */
void layer_build_free(struct layer_build *b);

#endif
