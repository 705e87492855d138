/* hosts.toml of one registry, containerd's way to name mirrors (docs/hosts.md of containerd). */
#ifndef CONTRIB_DFINIT_HOSTS_H
#define CONTRIB_DFINIT_HOSTS_H

#include "contrib/dfinit/runtime.h"

/* dir/name/hosts.toml has the daemon first, then what it had; the registry itself stays last, as
 * containerd does by itself. registry NULL: name is "_default" or one known by its file only. */
must_check int hosts_plan(const struct wish *w, struct plan *p, const char *dir, const char *name,
			  const struct registry *registry, struct err *e);
/* One of an old registry.mirrors: its endpoints, in their order. */
must_check int hosts_plan_old(struct plan *p, const char *dir, const char *name, char **endpoints,
			      size_t count, struct err *e);

#endif
