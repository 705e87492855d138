/* mkdir -p. */
#include "base/dir.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int dir_make(const char *path, mode_t mode, struct err *e)
{
	cleanup(free_at) char *part = mem_strdup(path);

	for (char *p = part;; p++) {
		char was = *p;

		if (p == part || (was != '/' && was != 0))
			continue;
		*p = 0;
		if (mkdir(part, was ? 0755 : mode) < 0 && errno != EEXIST)
			return err_set(e, errno, "make %s", part);
		if (!was)
			return 0;
		*p = was;
	}
}

int dir_make_parent(const char *path, mode_t mode, struct err *e)
{
	const char *slash = strrchr(path, '/');
	cleanup(free_at) char *parent = NULL;

	if (!slash || slash == path)
		return 0;
	parent = mem_strndup(path, (size_t)(slash - path));
	return dir_make(parent, mode, e);
}
