/* Fuzzes what is read from a registry's manifest: whatever passes by, only digests are noted, and
 * no more than the bound. */
#include "base/digest.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	noted = 0;
	manifests_note_blobs(NULL, "https://r", "a/b", NULL, (const char *)data, size);
	return 0;
}
