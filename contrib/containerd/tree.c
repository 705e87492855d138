/* Walks by descriptors' names (fts), so that depth has no bound. Must not know: snapshots. */
#include "contrib/containerd/tree.h"

#include "base/map.h"

#include <errno.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

static void fts_close_at(FTS **f)
{
	if (*f)
		fts_close(*f);
}

static FTS *walk(const char *path)
{
	char *const paths[] = {(char *)path, NULL};

	return fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
}

/* The first time that a name of this inode is met. */
static bool is_new(struct map *seen, const struct stat *st)
{
	char key[48];

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return true;
	snprintf(key, sizeof(key), "%llu", (unsigned long long)st->st_ino);
	return !map_put(seen, key, seen);
}

int tree_usage(const char *path, int64_t *size_out, int64_t *inodes_out, struct err *e)
{
	struct map *seen cleanup(map_free_at) = map_new();
	FTS *f cleanup(fts_close_at) = walk(path);
	int64_t size = 0, inodes = 0;
	FTSENT *entry;

	if (!f)
		return err_set(e, errno, "walk %s", path);
	for (errno = 0; (entry = fts_read(f)); errno = 0) {
		if (entry->fts_info == FTS_DP || entry->fts_info == FTS_NS)
			continue;
		if (entry->fts_info == FTS_ERR)
			return err_set(e, entry->fts_errno, "%s", entry->fts_path);
		if (is_new(seen, entry->fts_statp)) {
			size += (int64_t)entry->fts_statp->st_blocks * 512;
			inodes++;
		}
	}
	if (errno)
		return err_set(e, errno, "walk %s", path);
	*size_out = size;
	*inodes_out = inodes;
	return 0;
}

int tree_remove(const char *path, struct err *e)
{
	FTS *f cleanup(fts_close_at) = walk(path);
	FTSENT *entry;

	if (!f)
		return err_set(e, errno, "walk %s", path);
	while ((entry = fts_read(f))) {
		int r = 0;

		if (entry->fts_info == FTS_DP)
			r = rmdir(entry->fts_path);
		else if (entry->fts_info != FTS_D && entry->fts_info != FTS_NS)
			r = unlink(entry->fts_path);
		if (r < 0 && errno != ENOENT)
			return err_set(e, errno, "remove %s", entry->fts_path);
	}
	return 0;
}
