/* The table of runtimes. */
#include "contrib/dfinit/runtime.h"

#include <string.h>

const struct runtime runtimes[] = {
	{.name = "containerd",
	 .file = "/etc/containerd/config.toml",
	 .plan = containerd_plan,
	 .restart = "systemctl try-restart containerd",
	 .check = "command -v containerd >/dev/null || exit 0; "
		  "containerd --config \"$1\" config dump >/dev/null",
	 .pull = "if command -v crictl >/dev/null; then crictl pull \"$1\"; else "
		 "ctr -n k8s.io images pull --hosts-dir \"$2\" \"$1\"; fi"},
	{.name = "docker",
	 .file = "/etc/docker/daemon.json",
	 .plan = docker_plan,
	 .restart = "systemctl try-reload-or-restart docker",
	 .pull = "docker pull \"$1\""},
	{.name = "podman",
	 .file = "/etc/containers/registries.conf",
	 .plan = registries_conf_plan,
	 .pull = "podman pull \"$1\""},
	{.name = "crio",
	 .file = "/etc/containers/registries.conf",
	 .plan = registries_conf_plan,
	 .restart = "! systemctl cat crio >/dev/null 2>&1 || systemctl try-reload-or-restart crio",
	 .pull = "crictl pull \"$1\""},
	{.name = NULL},
};

const struct runtime *runtime_find(const char *name)
{
	for (const struct runtime *r = runtimes; r->name; r++)
		if (strcmp(r->name, name) == 0)
			return r;
	return NULL;
}
