/* The sha256 of a content's first pieces. */
#include "daemon/prefix.h"

#include "base/mem.h"

#include <errno.h>
#include <unistd.h>

#define CHUNK (256u << 10)

struct prefix {
	int fd;
	struct geometry g;
	struct sha256 *sha256; /* NULL = nothing was added, or given up */
	uint32_t next;	       /* atomic */
};

struct prefix *prefix_new(int fd, const struct geometry *g)
{
	struct prefix *p = mem_new(struct prefix);

	p->fd = fd;
	p->g = *g;
	return p;
}

void prefix_free(struct prefix *p)
{
	if (!p)
		return;
	sha256_free(p->sha256);
	free(p);
}

uint32_t prefix_next(const struct prefix *p)
{
	return __atomic_load_n(&p->next, __ATOMIC_RELAXED);
}

int prefix_add(struct prefix *p, struct err *e)
{
	uint64_t off = geometry_offset(&p->g, p->next), end = off + geometry_length(&p->g, p->next);
	cleanup(free_at) char *chunk = mem_alloc(CHUNK);

	if (!p->sha256)
		p->sha256 = sha256_new();
	while (off < end) {
		size_t want = end - off < CHUNK ? (size_t)(end - off) : CHUNK;
		ssize_t n = pread(p->fd, chunk, want, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(e, n < 0 ? errno : EIO, "read piece %u back", p->next);
		sha256_update(p->sha256, chunk, (size_t)n);
		off += (uint64_t)n;
	}
	__atomic_store_n(&p->next, p->next + 1, __ATOMIC_RELAXED);
	return 0;
}

void prefix_give_up(struct prefix *p)
{
	sha256_free(p->sha256);
	p->sha256 = NULL;
	__atomic_store_n(&p->next, p->g.piece_count, __ATOMIC_RELAXED);
}

bool prefix_finish(struct prefix *p, char hex_out[DIGEST_HEX_LEN + 1])
{
	bool whole = p->sha256 && p->next == p->g.piece_count;

	if (whole)
		sha256_final(p->sha256, hex_out);
	prefix_give_up(p);
	__atomic_store_n(&p->next, 0, __ATOMIC_RELAXED);
	return whole;
}
