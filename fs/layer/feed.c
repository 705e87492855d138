/* Reads compressed bytes and inflates them. Must not know what becomes of them. */
#include "fs/layer/feed.h"

#include "base/mem.h"

#include <inttypes.h>

#define READ_LEN (128 * 1024)

int feed_inflate(struct inflate *f, const struct unpack_io *io, uint64_t at, uint64_t end,
		 const bool *done, struct err *e)
{
	cleanup(free_at) char *part = mem_alloc(READ_LEN);
	int r = 0;

	while (r == 0 && at < end && !(done && *done)) {
		ssize_t n = io->read(io->arg, at, part, end - at < READ_LEN ? end - at : READ_LEN);

		if (n < 0)
			return err_set(e, (int)-n, "read the layer at byte %" PRIu64, at);
		if (n == 0)
			break;
		r = inflate_feed(f, part, (size_t)n, e);
		at += (uint64_t)n;
	}
	return r;
}
