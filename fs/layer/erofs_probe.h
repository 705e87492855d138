/* Whether this kernel shows trees of layers by itself. */
#ifndef FS_LAYER_EROFS_PROBE_H
#define FS_LAYER_EROFS_PROBE_H

#include "base/err.h"

/* Has the kernel take an empty tree's image in this directory as a file system; nothing is mounted
 * anywhere. ENODEV: it has no EROFS; ENOTBLK: it wants block devices (before Linux 6.12, or the
 * directory is on overlayfs); ENOSYS: before 5.2; EPERM: needs CAP_SYS_ADMIN. */
must_check int erofs_probe(const char *dir, struct err *e);

#endif
