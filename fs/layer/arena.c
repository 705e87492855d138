/* Memory in chunks. Must not know what is in it. */
#include "fs/layer/arena.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define CHUNK_LEN (256 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t len;
	_Alignas(16) unsigned char data[];
};

void *arena_alloc(struct arena *a, size_t size, struct err *e)
{
	struct arena_chunk *c = a->chunks;

	if (size > a->taken_max || a->taken > a->taken_max - size) {
		err_set(e, E2BIG, "the layer's tree takes more than %" PRIu64 " bytes of memory",
			a->taken_max);
		return NULL;
	}
	size = (size + 15) & ~(size_t)15;
	a->taken += size;
	if (!c || a->left < size) {
		size_t len = size > CHUNK_LEN ? size : CHUNK_LEN;

		c = mem_alloc(sizeof(*c) + len);
		c->len = len;
		c->next = a->chunks;
		a->chunks = c;
		a->left = len;
	}
	a->left -= size;
	return c->data + (c->len - a->left - size);
}

void *arena_copy(struct arena *a, const void *data, size_t len, struct err *e)
{
	char *copy = arena_alloc(a, len + 1, e);

	if (copy && len)
		memcpy(copy, data, len);
	return copy;
}

void arena_release(struct arena *a)
{
	while (a->chunks) {
		struct arena_chunk *c = a->chunks;

		a->chunks = c->next;
		free(c);
	}
}
