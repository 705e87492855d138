/* Tables of contents and footers of foreign layers on arbitrary bytes: what is told keeps what the
 * headers promise. */
#include "base/cleanup.h"
#include "fs/layer/toc.h"
#include "fs/layer/toc_table.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int got_entry(void *arg, const struct toc_entry *entry, struct err *e)
{
	unsigned *left = arg;
	const struct tar_entry *t = &entry->tar;

	assert(t->path[0] && strlen(t->path) <= TAR_PATH_MAX && strlen(t->link) <= TAR_PATH_MAX);
	assert(t->mode <= 07777 && t->mtime_ns < 1000000000 && !t->sparse);
	assert(t->size <= INT64_MAX && entry->chunk.offset <= INT64_MAX);
	for (uint32_t i = 0; i < t->xattr_count; i++)
		assert(strlen(t->xattrs[i].name) == t->xattrs[i].name_len && t->xattrs[i].value);
	return --*left ? 0 : err_set(e, ECANCELED, "enough");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t tail_len = size < TOC_TAIL_LEN ? size : TOC_TAIL_LEN;
	struct toc_place place;
	unsigned left = 1000;
	struct err e = {0};

	if (toc_find(data + size - tail_len, tail_len, size, &place))
		assert(place.kind != LAYER_TOC_NONE && place.offset < size &&
		       place.stored_len <= size - place.offset);
	else
		assert(place.kind == LAYER_TOC_NONE);
	if (toc_table_parse((const char *)data, size, got_entry, &left, &e) < 0)
		assert((e.code == EBADMSG || e.code == ECANCELED) && e.text[0]);
	return 0;
}
