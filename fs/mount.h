/* The mount point: making it, taking it over from a dead daemon, mount(2) and umount2(2). Needs
 * CAP_SYS_ADMIN. Must not know: libfuse, sessions. */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Bytes of one READ. An answer of this size, its header and two cut pages fit into the largest pipe
 * that everybody may have, 1 MiB (answer.c). */
#define MOUNT_READ_MAX (512u << 10)

struct mount_point {
	char *path; /* absolute, owned; NULL = not mounted */
	unsigned dev_major, dev_minor;
};

/* Makes the directory, detaches what a dead daemon left there (ENOTCONN tells it), opens /dev/fuse
 * and mounts. EBUSY: something living is mounted there. EPERM: CAP_SYS_ADMIN is missing; ENOENT,
 * ENODEV, EACCES: /dev/fuse. *fuse_fd_out is the caller's. */
must_check int mount_point_attach(const char *path, bool allow_other, struct mount_point *out,
				  int *fuse_fd_out, struct err *e);
/* The same for the connection of an earlier process, still alive, that was mounted as this device.
 * Mounts it again where it has been unmounted. EBUSY: another file system is mounted there. */
must_check int mount_point_resume(const char *path, bool allow_other, int fuse_fd,
				  unsigned dev_major, unsigned dev_minor, struct mount_point *out,
				  struct err *e);
/* Sets the read-ahead of the mount: the answer to INIT can only lower the kernel's 128 KiB. */
must_check int mount_point_read_ahead(const struct mount_point *m, unsigned kb, struct err *e);
/* Unmounts unless it is in use. */
void mount_point_try_detach(const struct mount_point *m);
/* Whether anything is mounted with this connection, here or in any mount namespace. */
bool mount_point_lives(int fuse_fd);
/* Unmounts, lazily if it is busy. Only what was mounted here, not what somebody mounted since. */
void mount_point_detach(const struct mount_point *m);
void mount_point_release(struct mount_point *m);

#endif
