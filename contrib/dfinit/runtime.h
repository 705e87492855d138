/* What dfinit knows of each container runtime: which files to edit and how. */
#ifndef CONTRIB_DFINIT_RUNTIME_H
#define CONTRIB_DFINIT_RUNTIME_H

#include "contrib/dfinit/config.h"
#include "contrib/dfinit/plan.h"

struct registry {
	const char *name;   /* owned; as images name it: "ghcr.io", "reg.example:5000" */
	const char *server; /* owned; "https://ghcr.io" */
	const struct config_strings *capabilities; /* NULL: pull and resolve */
	bool skip_verify;
	const char *ca; /* NULL: the system's roots */
};

#define REGISTRIES_MAX 64

/* What is wanted of one runtime. */
struct wish {
	const char *proxy; /* "http://127.0.0.1:4001" */
	const char *file;  /* the runtime's configuration */
	struct registry registries[REGISTRIES_MAX];
	size_t registry_count;
	bool all;	  /* every registry, where the runtime can */
	char *mirror_dir; /* out: containerd's directory of hosts.toml, owned */
};

struct runtime {
	const char *name, *file;
	/* Plans the edits. EINVAL and the like: what stands there cannot be edited, and why. */
	int (*plan)(struct wish *w, struct plan *p, struct err *e);
	const char *restart; /* shell; NULL: reads its files at each pull */
	const char *check;   /* shell, $1 = a file with the new text; NULL: nothing to ask */
	const char *pull;    /* shell, $1 = the image, $2 = mirror_dir */
};

extern const struct runtime runtimes[]; /* ends with name NULL */
const struct runtime *runtime_find(const char *name);

int containerd_plan(struct wish *w, struct plan *p, struct err *e);
int docker_plan(struct wish *w, struct plan *p, struct err *e);
int registries_conf_plan(struct wish *w, struct plan *p, struct err *e);

#endif
