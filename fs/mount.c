/* mount(2) by ourselves and not by libfuse: the session needs its own /dev/fuse descriptor
 * (docs/adr/0001-passthrough-and-libfuse.md). */
#include "fs/mount.h"

#include "base/dir.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define STALE_MAX 8 /* dead mounts on top of each other */

/* True if path is the root of a mount. Asks no file system, so a hung one cannot hold us up. */
static bool is_mount_root(const char *path, unsigned *major_out, unsigned *minor_out)
{
	struct statx x;

	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &x) < 0)
		return false;
	*major_out = x.stx_dev_major;
	*minor_out = x.stx_dev_minor;
	return (x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
	       (x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int clear_stale(const char *path, struct err *e)
{
	unsigned major, minor;

	for (int i = 0; i < STALE_MAX && is_mount_root(path, &major, &minor); i++) {
		struct statx x;

		/* Asked of the daemon itself: the kernel may still know what the dead one said. */
		if (statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_TYPE, &x) == 0 ||
		    (errno != ENOTCONN && errno != ECONNABORTED))
			return err_set(e, EBUSY, "%s is a mount point in use", path);
		if (umount2(path, MNT_DETACH) < 0)
			return err_set(e, errno, "detach the dead mount at %s", path);
	}
	return 0;
}

static int mount_fuse(const char *path, int fuse_fd, bool allow_other, struct err *e)
{
	char options[160];

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40555,user_id=%u,group_id=%u,default_permissions,max_read=%u%s",
		 fuse_fd, (unsigned)geteuid(), (unsigned)getegid(), MOUNT_READ_MAX,
		 allow_other ? ",allow_other" : "");
	if (mount("skimmer", path, "fuse.skimmer", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOATIME,
		  options) < 0) {
		if (errno == EPERM)
			return err_set(e, EPERM, "mount at %s needs CAP_SYS_ADMIN (root)", path);
		return err_set(e, errno, "mount at %s", path);
	}
	return 0;
}

int mount_point_attach(const char *path, bool allow_other, struct mount_point *out,
		       int *fuse_fd_out, struct err *e)
{
	cleanup(close_at) int fd = -1;
	cleanup(free_at) char *real = NULL;
	int r = dir_make(path, 0755, e);

	if (r < 0)
		return r;
	real = realpath(path, NULL);
	if (!real)
		return err_set(e, errno, "mount point %s", path);
	r = clear_stale(real, e);
	if (r < 0)
		return r;
	fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_blame(e, "SK120", err_set(e, errno, "open /dev/fuse"));
	r = mount_fuse(real, fd, allow_other, e);
	if (r < 0)
		return r;
	if (!is_mount_root(real, &out->dev_major, &out->dev_minor)) {
		umount2(real, MNT_DETACH);
		return err_set(e, ENODEV, "%s went away while it was mounted", real);
	}
	out->path = take_ptr(&real);
	*fuse_fd_out = take_fd(&fd);
	return 0;
}

/* The path without links, found without a question to what is mounted at its end. */
static int real_path_of_mount(const char *path, char **out, struct err *e)
{
	cleanup(free_at) char *copy = mem_strdup(path);
	cleanup(free_at) char *parent = NULL;
	size_t len = strlen(copy);
	char *slash;

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	slash = strrchr(copy, '/');
	if (!slash || slash == copy || !slash[1])
		return err_set(e, EINVAL, "mount point %s is not below a directory", path);
	*slash = '\0';
	parent = realpath(copy, NULL);
	if (!parent)
		return err_set(e, errno, "mount point %s", path);
	*out = mem_printf("%s/%s", parent, slash + 1);
	return 0;
}

int mount_point_resume(const char *path, bool allow_other, int fuse_fd, unsigned dev_major,
		       unsigned dev_minor, struct mount_point *out, struct err *e)
{
	cleanup(free_at) char *real = NULL;
	int r = real_path_of_mount(path, &real, e);

	if (r < 0)
		return r;
	/* A connection that lives on elsewhere (in a container) can be mounted again. */
	if (!is_mount_root(real, &out->dev_major, &out->dev_minor)) {
		r = mount_fuse(real, fuse_fd, allow_other, e);
		if (r < 0)
			return r;
		if (!is_mount_root(real, &out->dev_major, &out->dev_minor))
			return err_set(e, ENODEV, "%s went away while it was mounted", real);
	}
	if (out->dev_major != dev_major || out->dev_minor != dev_minor)
		return err_set(e, EBUSY, "another file system is mounted at %s", real);
	out->path = take_ptr(&real);
	return 0;
}

bool mount_point_lives(int fuse_fd)
{
	struct pollfd p = {.fd = fuse_fd};

	return poll(&p, 1, 0) >= 0 && !(p.revents & (POLLERR | POLLHUP | POLLNVAL));
}

int mount_point_read_ahead(const struct mount_point *m, unsigned kb, struct err *e)
{
	char path[80], text[16];
	cleanup(close_at) int fd = -1;
	int len = snprintf(text, sizeof(text), "%u", kb);

	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", m->dev_major,
		 m->dev_minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno, "open %s", path);
	if (write(fd, text, (size_t)len) != len)
		return err_set(e, errno, "write %s", path);
	return 0;
}

static bool is_ours(const struct mount_point *m)
{
	unsigned major, minor;

	return m->path && is_mount_root(m->path, &major, &minor) && major == m->dev_major &&
	       minor == m->dev_minor;
}

void mount_point_try_detach(const struct mount_point *m)
{
	if (is_ours(m))
		umount2(m->path, 0);
}

void mount_point_detach(const struct mount_point *m)
{
	if (is_ours(m) && umount2(m->path, 0) < 0)
		umount2(m->path, MNT_DETACH);
}

void mount_point_release(struct mount_point *m)
{
	free(m->path);
	m->path = NULL;
}
