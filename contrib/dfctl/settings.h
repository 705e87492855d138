/* dfdaemon's configuration as dfctl sees it: the values in force, and where each comes from. */
#ifndef CONTRIB_DFCTL_SETTINGS_H
#define CONTRIB_DFCTL_SETTINGS_H

#include "daemon/config.h"

struct settings_line {
	char *path; /* "proxy.server.port" */
	size_t line;
};

struct settings {
	struct daemon_config config;
	char *file; /* NULL: there is none, all are defaults */
	struct settings_line *lines;
	size_t line_count;
};

/* file NULL: the default one, which may be absent. EINVAL and the like: what is wrong with it; what
 * was read before it is in *out. Release it, whatever the result. */
must_check int settings_load(const char *file, struct settings *out, struct err *e);
void settings_release(struct settings *s);
/* "/etc/dragonfly/dfdaemon.yaml:12", or "default". Caller frees. */
char *settings_origin(const struct settings *s, const char *path);
/* Whether the file gives it. */
bool settings_gives(const struct settings *s, const char *path);

#endif
