/*
 * The kernel caches what it has seen of a tree as long as the mount lives and memory is plenty, and
 * by that the root of the tree. Told that the root's name is not valid any more it drops all that
 * nobody uses; then FORGET comes (forest.h).
 */
#include "fs/forest_prune.h"

#include "base/mem.h"
#include "fs/state.h"

#include <string.h>

#define PRUNE_COUNT_MAX 4096

/* "36 35 0:52 /<name> /where/it/is ..." of this mount. */
static bool shows(const char *line, const struct mount_point *m, const char *name)
{
	unsigned major, minor;
	int root = 0, end = 0;

	if (sscanf(line, "%*u %*u %u:%u %n%*s%n", &major, &minor, &root, &end) < 2 || end <= root)
		return false;
	return major == m->dev_major && minor == m->dev_minor && line[root] == '/' &&
	       (size_t)(end - root - 1) == strlen(name) &&
	       strncmp(line + root + 1, name, strlen(name)) == 0;
}

static bool is_mounted(const struct mount_point *m, const char *name)
{
	cleanup(fclose_at) FILE *f = fopen("/proc/self/mountinfo", "re");
	cleanup(free_at) char *line = NULL;
	size_t size = 0;
	bool found = !f; /* not known */

	while (!found && getline(&line, &size, f) >= 0)
		found = shows(line, m, name);
	return found;
}

void fs_forest_prune(struct fs_session *s)
{
	for (size_t i = 0; i < PRUNE_COUNT_MAX && !atomic_load(&s->stopping); i++) {
		cleanup(free_at) char *name = forest_name(s->forest, i);

		if (!name)
			return;
		if (!is_mounted(&s->mount, name))
			fuse_lowlevel_notify_inval_entry(s->fuse, FOREST_ROOT_ID, name,
							 strlen(name));
	}
}
