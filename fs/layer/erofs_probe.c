/* Asks by doing it: versions and lists of file systems do not say what a kernel was built with, nor
 * what it refuses for the sake of the directory's own file system. */
#include "fs/layer/erofs_probe.h"

#include "base/mem.h"
#include "fs/layer/erofs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

static void tree_free_at(struct tree **t)
{
	tree_free(*t);
}

static int write_empty(FILE *file, struct err *e)
{
	struct tree *t cleanup(tree_free_at) = tree_new(false);
	struct erofs_summary sum;
	int r = tree_end(t, e);

	return r < 0 ? r : erofs_write(t, 0, file, &sum, e);
}

static int ask(const char *image, struct err *e)
{
	int fd cleanup(close_at) = fsopen("erofs", FSOPEN_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "no EROFS");
	if (fsconfig(fd, FSCONFIG_SET_STRING, "source", image, 0) < 0 ||
	    fsconfig(fd, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    fsconfig(fd, FSCONFIG_SET_STRING, "device", image, 0) < 0)
		return err_set(e, errno, "EROFS refuses an option");
	if (fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_set(e, errno, "EROFS refuses an image that is a file");
	return 0;
}

int erofs_probe(const char *dir, struct err *e)
{
	char *path cleanup(free_at) = mem_printf("%s/probe-XXXXXX.tmp", dir);
	int fd = mkostemps(path, 4, O_CLOEXEC);
	FILE *file cleanup(fclose_at) = fd < 0 ? NULL : fdopen(fd, "w");
	int r;

	if (!file)
		return err_set(e, errno, "make %s", path);
	r = write_empty(file, e);
	if (r == 0)
		r = ask(path, e);
	unlink(path);
	return r;
}
