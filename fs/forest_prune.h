/* Lets trees of a forest go that nobody shows any more, so that their layers can be removed. */
#ifndef FS_FOREST_PRUNE_H
#define FS_FOREST_PRUNE_H

#include "fs/session.h"

/* Asks the kernel to forget the trees that are mounted nowhere that we can see. It keeps those that
 * are in use all the same. Blocks on the kernel, which may wait for an operation of this very
 * mount: not on its threads. */
void fs_forest_prune(struct fs_session *s);

#endif
