/* The manager's configuration file: Dragonfly's key names; the table in config.c is the truth. */
#ifndef CONTROL_MANAGER_CONFIG_H
#define CONTROL_MANAGER_CONFIG_H

#include "base/config.h"

#define MANAGER_CONFIG_FILE "/etc/dragonfly/manager.yaml"

struct manager_config {
	char *grpc_ip;
	uint16_t grpc_port;
	char *database_type, *database_path;
};

extern const struct config_key manager_config_keys[];

#endif
