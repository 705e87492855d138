/* What an image says of its layers' tables of contents, on arbitrary manifests and configurations
 * (one behind the other, a zero byte between): whatever is told has digests. */
#include "base/mem.h"
#include "daemon/vouch.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
	size_t len = zero ? (size_t)(zero - data) : size;
	size_t rest = zero ? size - len - 1 : 0;
	struct vouched *all cleanup(free_at) = NULL;
	struct err e = {0};
	size_t count;

	if (vouch_parse((const char *)data, len, (const char *)data + size - rest, rest, &all,
			&count, &e) < 0) {
		assert(e.code != 0 && !all);
		return 0;
	}
	for (size_t i = 0; i < count; i++)
		assert(digest_is_hex64(all[i].digest) && digest_is_hex64(all[i].diff_id) &&
		       digest_is_hex64(all[i].toc_digest));
	return 0;
}
