/* Directory trees that others filled: counted and removed. Never follows a link, never leaves the
 * file system that the tree begins on. */
#ifndef CONTRIB_CONTAINERD_TREE_H
#define CONTRIB_CONTAINERD_TREE_H

#include "base/err.h"

#include <stdint.h>

/* Bytes on disk and inodes, each hard link once. What goes away meanwhile is not counted. */
must_check int tree_usage(const char *path, int64_t *size_out, int64_t *inodes_out, struct err *e);
/* Good when it is not there. A tree with a mount in it is not removed: EBUSY. */
must_check int tree_remove(const char *path, struct err *e);

#endif
