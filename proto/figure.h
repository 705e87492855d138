/* What Dragonfly's figures have in common in several of its programs. */
#ifndef PROTO_FIGURE_H
#define PROTO_FIGURE_H

#include "base/metrics.h"

#include <stdint.h>

/* Sets the gauge `<prefix>version`, whose family is kept by reference, for this program's life. */
#define FIGURE_VERSION(prefix)                                                                     \
	{                                                                                          \
		METRIC_GAUGE, prefix "version", "Version of the service.",                         \
			"major,minor,git_version,git_commit,platform,build_time,go_version,"       \
			"go_tags,go_gcflags"                                                       \
	}
void figure_version(const struct metric_family *version);
/* The class of a task's length: 0 of nothing, 1 up to 1 MiB, ... 20 of more than 1 TiB. */
unsigned figure_size_level(uint64_t len);

#endif
