/* Files of eStargz that are marks: ".prefetch.landmark" stands behind what a container reads first;
 * ".no.prefetch.landmark" says that nothing is known of that, as no mark does. */
#ifndef FS_LAYER_LANDMARK_H
#define FS_LAYER_LANDMARK_H

#include "fs/layer/tar.h"

#include <string.h>

static inline bool landmark_is_prefetch(const struct tar_entry *t)
{
	const char *name = t->path;

	while (*name == '/' || (name[0] == '.' && name[1] == '/'))
		name++;
	return t->type == TAR_FILE && strcmp(name, ".prefetch.landmark") == 0;
}

#endif
