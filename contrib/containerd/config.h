/* The snapshotter's configuration file; the table in config.c is the truth. */
#ifndef CONTRIB_CONTAINERD_CONFIG_H
#define CONTRIB_CONTAINERD_CONFIG_H

#include "base/config.h"

#define SNAPSHOTTER_CONFIG_FILE "/etc/dragonfly/containerd-skimmer.yaml"

struct snapshotter_config {
	char *root, *socket_path, *daemon_socket;
	int64_t daemon_timeout_ms;
	bool verbose;
};

extern const struct config_key snapshotter_config_keys[];

#endif
