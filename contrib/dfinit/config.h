/* dfinit.yaml: Dragonfly's keys. */
#ifndef CONTRIB_DFINIT_CONFIG_H
#define CONTRIB_DFINIT_CONFIG_H

#include "base/config.h"

#define INIT_CONFIG_FILE "/etc/dragonfly/dfinit.yaml"

/* One of containerd's (host_namespace, ...) or of the others' (prefix, location) registries. */
struct init_registry {
	char *host_namespace, *server_addr;
	struct config_strings capabilities;
	bool skip_verify;
	char *ca;
	char *prefix, *location;
};

struct init_runtime {
	char *config_path;
	struct config_list registries; /* struct init_registry */
};

struct init_config {
	char *proxy_addr;
	struct init_runtime containerd, docker, crio, podman;
	bool proxy_all_registries;
};

extern const struct config_key init_config_keys[];

#endif
