/* Directories and those above them. */
#ifndef BASE_DIR_H
#define BASE_DIR_H

#include "base/err.h"

#include <dirent.h>
#include <sys/types.h>

/* Makes path with this mode (less the umask) and what is missing above it with 0755. What is there
 * stays as it is. */
must_check int dir_make(const char *path, mode_t mode, struct err *e);
/* The same for the directory that path stands in. */
must_check int dir_make_parent(const char *path, mode_t mode, struct err *e);

static inline void closedir_at(DIR **d)
{
	if (*d)
		closedir(*d);
	*d = NULL;
}

#endif
