/* The table of the snapshotter's keys. */
#include "contrib/containerd/config.h"

#include "base/program.h"

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
	{.path = "daemon.socketPath",
	 .type = CONFIG_STRING,
	 .offset = AT(daemon_socket),
	 .fallback = "/var/run/dragonfly/dfdaemon.sock",
	 .help = "Unix socket of the node's dfdaemon, which is asked for lazy layers "
		 "(`lazy.enable` there). Without it every layer is unpacked."},
	{.path = "daemon.timeout",
	 .type = CONFIG_DURATION,
	 .offset = AT(daemon_timeout_ms),
	 .fallback = "20s",
	 .min = 100,
	 .help = "A layer of which the daemon does not know more after so long is unpacked."},
	PROGRAM_CONFIG_KEYS(snapshotter_config, verbose),
	{.path = NULL},
};
