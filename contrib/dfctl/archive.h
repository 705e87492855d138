/* A tar archive (POSIX ustar) of texts, written as it grows. */
#ifndef CONTRIB_DFCTL_ARCHIVE_H
#define CONTRIB_DFCTL_ARCHIVE_H

#include "base/err.h"

#include <stddef.h>

/* One file of mode 0600; name of at most 99 bytes. */
must_check int archive_add(int fd, const char *name, const void *data, size_t len, struct err *e);
/* The two empty blocks. */
must_check int archive_end(int fd, struct err *e);

#endif
