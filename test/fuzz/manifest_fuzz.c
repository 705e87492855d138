/* Fuzzes what is read from a registry's manifest: whatever passes by, only digests are noted, and
 * no more than the bound; what the mount takes for an image has digests and no more than the bound.
 */
#include "base/digest.h"
#include "base/manifest.h"
#include "daemon/manifests.h"
#include "daemon/task.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned noted;

/* Stands for task.c. */
void task_note_source(struct tasks *ts, const char *digest_hex, const char *base,
		      const char *repository, const char *authorization)
{
	assert(!ts && !authorization);
	assert(digest_is_hex64(digest_hex));
	assert(strcmp(base, "https://r") == 0 && strcmp(repository, "a/b") == 0);
	assert(++noted <= 1001);
}

static void parse(const char *text, size_t len)
{
	struct manifest m;
	struct err e = {0};

	if (manifest_parse(text, len, &m, &e) < 0) {
		assert(e.code != 0 && !m.items);
		return;
	}
	assert(m.count <= MANIFEST_ITEMS_MAX && (m.is_index || digest_is_hex64(m.config.hex)));
	for (size_t i = 0; i < m.count; i++)
		assert(digest_is_hex64(m.items[i].hex));
	manifest_pick(&m);
	manifest_release(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	parse((const char *)data, size);
	noted = 0;
	manifests_note_blobs(NULL, "https://r", "a/b", NULL, (const char *)data, size);
	return 0;
}
