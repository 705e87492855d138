/* The table of dfinit's keys. */
#include "contrib/dfinit/config.h"

#define AT(field)   offsetof(struct init_config, field)
#define ITEM(field) offsetof(struct init_registry, field)

static const struct config_key containerd_registry_keys[] = {
	{.path = "hostNamespace",
	 .type = CONFIG_STRING,
	 .offset = ITEM(host_namespace),
	 .help = "Registry as images name it, e.g. docker.io."},
	{.path = "serverAddr",
	 .type = CONFIG_STRING,
	 .offset = ITEM(server_addr),
	 .help = "Its address, e.g. https://index.docker.io. Default: https:// and the name."},
	{.path = "capabilities",
	 .type = CONFIG_STRINGS,
	 .offset = ITEM(capabilities),
	 .help = "What the daemon is asked for. Default: pull, resolve."},
	{.path = "skipVerify",
	 .type = CONFIG_BOOL,
	 .offset = ITEM(skip_verify),
	 .fallback = "false",
	 .help = "The registry's certificate is not checked when it is asked directly."},
	{.path = "ca",
	 .type = CONFIG_STRING,
	 .offset = ITEM(ca),
	 .help = "PEM file of the registry's root."},
	{.path = NULL},
};

static const struct config_key other_registry_keys[] = {
	{.path = "prefix",
	 .type = CONFIG_STRING,
	 .offset = ITEM(prefix),
	 .help = "Registry as images name it."},
	{.path = "location",
	 .type = CONFIG_STRING,
	 .offset = ITEM(location),
	 .help = "Where it is. Default: prefix."},
	{.path = NULL},
};

#define OTHER_RUNTIME(name, field)                                                                 \
	{.path = "containerRuntime." name ".configPath",                                           \
	 .type = CONFIG_STRING,                                                                    \
	 .offset = AT(field.config_path),                                                          \
	 .help = "Given: " name " is set up. Usual: /etc/containers/registries.conf."},            \
		{.path = "containerRuntime." name ".registries",                                   \
		 .type = CONFIG_LIST,                                                              \
		 .offset = AT(field.registries),                                                   \
		 .item_keys = other_registry_keys,                                                 \
		 .item_size = sizeof(struct init_registry),                                        \
		 .help = "The one registry that goes through the daemon: that of its "             \
			 "proxy.registryMirror.addr."},                                            \
	{                                                                                          \
		.path = "containerRuntime." name ".unqualifiedSearchRegistries",                   \
		.type = CONFIG_IGNORED                                                             \
	}

const struct config_key init_config_keys[] = {
	{.path = "proxy.addr",
	 .type = CONFIG_STRING,
	 .offset = AT(proxy_addr),
	 .fallback = "http://127.0.0.1:4001",
	 .help = "The daemon's mirror."},
	{.path = "containerRuntime.containerd.configPath",
	 .type = CONFIG_STRING,
	 .offset = AT(containerd.config_path),
	 .help = "Given: containerd is set up. Usual: /etc/containerd/config.toml."},
	{.path = "containerRuntime.containerd.registries",
	 .type = CONFIG_LIST,
	 .offset = AT(containerd.registries),
	 .item_keys = containerd_registry_keys,
	 .item_size = sizeof(struct init_registry),
	 .help = "Registries with a hosts.toml of their own."},
	{.path = "containerRuntime.containerd.proxyAllRegistries",
	 .type = CONFIG_BOOL,
	 .offset = AT(proxy_all_registries),
	 .fallback = "true",
	 .help = "All other registries go through the daemon, too."},
	{.path = "containerRuntime.docker.configPath",
	 .type = CONFIG_STRING,
	 .offset = AT(docker.config_path),
	 .help = "Given: docker is set up (Docker Hub only). Usual: /etc/docker/daemon.json."},
	OTHER_RUNTIME("crio", crio),
	OTHER_RUNTIME("podman", podman),
	{.path = "console", .type = CONFIG_IGNORED},
	{.path = "verbose", .type = CONFIG_IGNORED},
	{.path = "log", .type = CONFIG_IGNORED},
	{.path = NULL},
};
