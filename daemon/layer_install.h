/* An index becomes the files of a layer that layer_open() takes (layer.h); whoever the index is
 * from, it is checked whole before. Blocks on the disk. */
#ifndef DAEMON_LAYER_INSTALL_H
#define DAEMON_LAYER_INSTALL_H

#include "base/err.h"

#include <stdint.h>

/* fd: the index; dir: where layers are; id: the layer's, 64 hex (fs/layer/info.h). The files have
 * their names when they are whole and on disk, the index last. EBADMSG: it is broken, or another
 * layer's; ENOTSUP: more than span_len_max bytes have to be inflated for one. */
must_check int layer_install(const char *dir, const char *id, int fd, uint64_t span_len_max,
			     struct err *e);

#endif
