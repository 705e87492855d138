/* Between where compressed bytes come from (unpack.h) and what inflates them (inflate.h). */
#ifndef FS_LAYER_FEED_H
#define FS_LAYER_FEED_H

#include "fs/layer/inflate.h"
#include "fs/layer/unpack.h"

/* Reads from at and inflates, until end, the blob's end, or *done, which the sink sets. NULL = it
 * wants all. */
must_check int feed_inflate(struct inflate *f, const struct unpack_io *io, uint64_t at,
			    uint64_t end, const bool *done, struct err *e);

#endif
