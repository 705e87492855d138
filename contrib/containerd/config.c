/* The table of the snapshotter's keys. */
#include "contrib/containerd/config.h"

#define AT(field) offsetof(struct snapshotter_config, field)

const struct config_key snapshotter_config_keys[] = {
	{.path = "root",
	 .type = CONFIG_STRING,
	 .offset = AT(root),
	 .fallback = "/var/lib/containerd-skimmer",
	 .help = "Directory of the snapshots and of their database. Its file system must be fit to "
		 "hold the upper directories of overlayfs."},
	{.path = "socketPath",
	 .type = CONFIG_STRING,
	 .offset = AT(socket_path),
	 .fallback = "/run/containerd-skimmer/containerd-skimmer.sock",
	 .help = "Unix socket on which containerd asks; the same path stands in containerd's "
		 "`proxy_plugins`."},
	{.path = NULL},
};
