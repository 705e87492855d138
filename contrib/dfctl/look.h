/*
 * doctor's looks: each looks at one thing of this host and adds its findings. They change nothing.
 * Blocking; each question to a server is bounded by timeout_ms.
 */
#ifndef CONTRIB_DFCTL_LOOK_H
#define CONTRIB_DFCTL_LOOK_H

#include "contrib/dfctl/finding.h"
#include "contrib/dfctl/settings.h"

#include <sys/types.h>

#define CONTAINERD_CONFIG "/etc/containerd/config.toml"

struct look {
	struct settings settings;
	const char *runtime_config;		 /* containerd's */
	const struct config_strings *registries; /* beside those of the configuration */
	int64_t timeout_ms;
	pid_t daemon; /* who answers at the socket; 0 = nobody */
	struct findings *out;
};

void look_daemon(struct look *l);
void look_ports(struct look *l);
void look_disk(struct look *l);
void look_fuse(struct look *l);
/* Who will show the trees of lazy layers. */
void look_trees(struct look *l);
void look_environment(struct look *l);
void look_clock_kept(struct look *l);
void look_schedulers(struct look *l);
void look_manager(struct look *l);
/* Answers, certificates, and what time they think it is. */
void look_registries(struct look *l);
void look_runtime(struct look *l);

/* A file of a process ("environ"), NULs kept; NULL: it may not be read. */
char *look_proc(pid_t pid, const char *file, size_t *len_out);

#endif
