/* A pack's frames on arbitrary bytes: unpacking stays inside what was given and what was asked for.
 */
#include "daemon/pack_file.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

#define LEN_MAX (1u << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *out cleanup(free_at) = NULL;
	struct pack_frame f;
	struct err e;

	if (size < PACK_HEAD_LEN)
		return 0;
	pack_head_read(data, &f);
	/* Where the length of a block stands in an index. */
	f.block %= LEN_MAX;
	out = mem_alloc(f.block + 1);
	if (pack_frame_unpack(data + PACK_HEAD_LEN, size - PACK_HEAD_LEN, out, f.block, &e) == 0)
		assert(f.block == 0 || size > PACK_HEAD_LEN); /* nothing comes of nothing */
	return 0;
}
