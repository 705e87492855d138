/* Files from tasks. A worker waits here, since nobody waits for it. */
#include "daemon/task_output.h"

#include "base/mem.h"
#include "daemon/task_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COPY_STEP (16u << 20)

/* path relative to dir, or NULL if it does not lie below it. */
static const char *relative(const char *dir, const char *path)
{
	size_t n = strlen(dir);

	while (n && dir[n - 1] == '/')
		n--;
	if (!n || strncmp(dir, path, n) != 0 || path[n] != '/')
		return NULL;
	return path + n + strspn(path + n, "/");
}

int task_output_check(const char *dir, const char *path, struct err *e)
{
	const char *rest = dir ? relative(dir, path) : NULL;
	const char *name = rest ? strrchr(rest, '/') : NULL;

	name = name ? name + 1 : rest;
	if (!name || !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return err_set(e, EACCES, "X-Dragonfly-Output-Path is not below proxy.outputDir");
	return 0;
}

/* The directory that is to hold the file. The kernel sees to it that it lies below dir. */
static int open_folder(const struct task_output *o, char **name_out, struct err *e)
{
	cleanup(close_at) int root = open(o->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup(free_at) char *folder = mem_strdup(relative(o->dir, o->path));
	char *slash = strrchr(folder, '/');
	struct open_how how = {
		.flags = O_DIRECTORY | O_RDONLY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	if (root < 0)
		return err_set(e, errno, "open %s", o->dir);
	*name_out = mem_strdup(slash ? slash + 1 : folder);
	if (slash)
		*slash = 0;
	fd = (int)syscall(SYS_openat2, root, slash ? folder : ".", &how, sizeof(how));
	if (fd < 0) {
		free_at(name_out);
		return err_set(e, errno == EXDEV || errno == ELOOP ? EACCES : errno,
			       "open the folder of %s", o->path);
	}
	return fd;
}

static int copy_to(int from, int folder, const char *name, struct err *e)
{
	cleanup(close_at) int to =
		openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	off_t at = 0;
	ssize_t n;

	if (to < 0)
		return err_set(e, errno, "make %s", name);
	/* Shared blocks where the file system can; between two disks the kernel copies. */
	do
		n = copy_file_range(from, &at, to, NULL, COPY_STEP, 0);
	while (n > 0);
	if (n < 0 && at == 0)
		do
			n = sendfile(to, from, &at, COPY_STEP);
		while (n > 0);
	return n < 0 ? err_set(e, errno, "copy to %s", name) : 0;
}

/* A hard link to a descriptor goes by its name in /proc. */
static int link_to(int from, int folder, const char *name, struct err *e)
{
	char proc[32];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", from);
	if (linkat(AT_FDCWD, proc, folder, name, AT_SYMLINK_FOLLOW) < 0)
		return err_set(e, errno, "link %s", name);
	return 0;
}

int task_output_write(struct task *t, const struct task_output *o, struct err *e)
{
	const struct task_wait wait = {.deadline_ms = o->deadline_ms, .stopping = o->stopping};
	cleanup(free_at) char *name = NULL;
	cleanup(free_at) char *temporary = NULL;
	cleanup(close_at) int folder = -1;
	int fd, r;

	if (task_output_check(o->dir, o->path, e) < 0)
		return -e->code;
	r = task_wait_complete(t, TASK_NEAR, &wait, &fd, e);
	if (r < 0)
		return r;
	folder = open_folder(o, &name, e);
	if (folder < 0)
		return -e->code;
	temporary = mem_printf(".%.16s.%u", task_meta(t)->id, (unsigned)gettid());
	unlinkat(folder, temporary, 0);
	r = o->hard_link ? link_to(fd, folder, temporary, e) : copy_to(fd, folder, temporary, e);
	if (r == 0 && renameat(folder, temporary, folder, name) < 0)
		r = err_set(e, errno, "rename to %s", o->path);
	/* Also after a rename: it does nothing when both names are one file. */
	unlinkat(folder, temporary, 0);
	return r;
}
