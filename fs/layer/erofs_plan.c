/*
 * Lays an EROFS image out: super block, device table, inodes (each with its attributes, chunk table
 * or the tail of its data), shared attributes, blocks of directories and long link targets.
 *
 * Inodes come directory by directory, so that reading a directory's entries with their attributes
 * reads one run of the image.
 */
#include "fs/layer/erofs_plan.h"

#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define INODES_OFFSET                                                                              \
	1536 /* behind super block and device table; the root's number is this / 32                \
	      */

static uint64_t align(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

struct erofs_node *erofs_plan_node(const struct erofs_plan *p, const struct tree_inode *ino)
{
	return &p->nodes[ino->mark - 1];
}

static int name_order(const void *a, const void *b)
{
	const struct tree_name *x = *(struct tree_name *const *)a,
			       *y = *(struct tree_name *const *)b;
	int c = memcmp(x->text, y->text, x->len < y->len ? x->len : y->len);

	return c ? c : (x->len > y->len) - (x->len < y->len);
}

static void node_add(struct erofs_plan *p, struct tree_inode *ino)
{
	struct erofs_node *n;
	uint32_t i = 0;

	if (ino->mark)
		return; /* a hard link */
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 1024;
		p->nodes = mem_realloc(p->nodes, p->cap * sizeof(*p->nodes));
	}
	n = &p->nodes[p->count++];
	*n = (struct erofs_node){.inode = ino, .size = ino->size};
	ino->mark = p->count;
	erofs_xattrs_count(p->xattrs, ino);
	if (!S_ISDIR(ino->mode))
		return;
	n->names = mem_array(ino->entry_count + 1, sizeof(*n->names));
	for (struct tree_name *name = ino->first; name; name = name->next)
		n->names[i++] = name;
	qsort(n->names, i, sizeof(*n->names), name_order);
}

/* All inodes: a directory's entries follow one another. */
static void collect(struct erofs_plan *p, struct tree *t)
{
	node_add(p, tree_root(t));
	for (size_t i = 0; i < p->count; i++) {
		uint32_t count = p->nodes[i].names ? p->nodes[i].inode->entry_count : 0;

		for (uint32_t k = 0; k < count; k++)
			node_add(p, p->nodes[i].names[k]->inode);
	}
}

bool erofs_dir_next(const struct erofs_node *dir, struct erofs_dir_walk *at, const char **name_out,
		    uint32_t *len_out, const struct tree_inode **inode_out)
{
	static const char dots[] = "..";
	bool has_name = at->next < dir->inode->entry_count;
	const struct tree_name *n = has_name ? dir->names[at->next] : NULL;

	if (at->dots < 2) {
		uint32_t len = at->dots + 1;

		/* A name that is not "." or ".." itself is before them if its bytes are. */
		if (!n || strncmp(dots, n->text, len) < 0 ||
		    (strncmp(dots, n->text, len) == 0 && len < n->len)) {
			at->dots++;
			*name_out = dots;
			*len_out = len;
			*inode_out = len == 1 ? dir->inode : dir->inode->parent;
			return true;
		}
	}
	if (!n)
		return false;
	at->next++;
	*name_out = n->text;
	*len_out = n->len;
	*inode_out = n->inode;
	return true;
}

static uint64_t dir_size(const struct erofs_node *dir)
{
	struct erofs_dir_walk at = {0};
	const struct tree_inode *ino;
	uint64_t blocks = 0;
	const char *name;
	uint32_t len, used = 0;

	while (erofs_dir_next(dir, &at, &name, &len, &ino)) {
		uint32_t need = (uint32_t)sizeof(struct erofs_dirent) + len;

		if (used + need > EROFS_BLOCK) {
			blocks++;
			used = 0;
		}
		used += need;
	}
	return blocks * EROFS_BLOCK + used;
}

/* The longest chunk at whose multiples all pieces of a sparse file begin and end. */
static int sparse_chunk_bits(const struct tree_inode *ino, uint8_t *bits_out, struct err *e)
{
	uint64_t all = 0;

	for (uint32_t i = 0; i < ino->segment_count; i++) {
		const struct tar_segment *s = &ino->segments[i];
		uint64_t end = s->offset + s->len;

		if (s->len == 0)
			continue;
		if (s->pos % EROFS_BLOCK)
			return err_set(e, ENOTSUP,
				       "a sparse file whose data does not lie at blocks");
		all |= s->offset;
		if (end != ino->size)
			all |= end;
	}
	*bits_out = EROFS_BLOCK_BITS;
	if (all % EROFS_BLOCK)
		return err_set(e, ENOTSUP, "a sparse file whose pieces do not lie at blocks");
	while (*bits_out < EROFS_BLOCK_BITS + EROFS_CHUNK_BITS && (1ULL << *bits_out) < ino->size &&
	       !(all & (1ULL << *bits_out)))
		(*bits_out)++;
	return 0;
}

static int measure_file(struct erofs_node *n, uint64_t tar_len, struct err *e)
{
	const struct tree_inode *ino = n->inode;
	uint64_t count;
	int r = 0;

	n->layout = EROFS_FLAT_PLAIN;
	if (ino->size == 0)
		return 0;
	n->layout = EROFS_CHUNK_BASED;
	n->chunk_bits = EROFS_BLOCK_BITS;
	if (ino->sparse) {
		r = sparse_chunk_bits(ino, &n->chunk_bits, e);
	} else {
		while ((1ULL << n->chunk_bits) < ino->size &&
		       n->chunk_bits < EROFS_BLOCK_BITS + EROFS_CHUNK_BITS)
			n->chunk_bits++;
		if (ino->pos > tar_len || ino->size > tar_len - ino->pos)
			return err_set(e, EBADMSG, "a file's data is beyond the tar's end");
	}
	if (r < 0)
		return r;
	count = ((ino->size - 1) >> n->chunk_bits) + 1;
	if (count > 4 * TAR_SEGMENT_COUNT_MAX)
		return err_set(e, ENOTSUP, "a sparse file of %" PRIu64 " chunks", count);
	n->chunk_count = (uint32_t)count;
	return 0;
}

/* What stands behind the inode and how long it is, but for a tail inline. */
static int measure(struct erofs_plan *p, struct erofs_node *n, struct err *e)
{
	n->xattr_len = erofs_xattrs_len(p->xattrs, n->inode);
	switch (n->inode->mode & S_IFMT) {
	case S_IFREG:
		return measure_file(n, p->tar_len, e);
	case S_IFDIR:
		n->size = dir_size(n);
		break;
	case S_IFLNK:
		break;
	default:
		n->size = 0;
		return 0;
	}
	n->inline_len = (uint32_t)(n->size % EROFS_BLOCK);
	n->layout = n->inline_len ? EROFS_FLAT_INLINE : EROFS_FLAT_PLAIN;
	return 0;
}

/* A tail must not cross a block. Tries here, then where the tail begins a block; gives up then. */
static uint64_t inode_offset(struct erofs_node *n, uint64_t offset)
{
	uint64_t head = sizeof(struct erofs_inode) + n->xattr_len;

	for (int i = 0; i < 2 && n->inline_len; i++) {
		uint64_t tail = offset + head;
		uint64_t moved = align(align(tail, EROFS_BLOCK) - head, EROFS_SLOT);

		if (tail % EROFS_BLOCK + n->inline_len <= EROFS_BLOCK)
			return offset;
		if (i == 0 && (moved + head) % EROFS_BLOCK + n->inline_len <= EROFS_BLOCK)
			offset = moved;
	}
	n->inline_len = 0;
	if (n->layout == EROFS_FLAT_INLINE)
		n->layout = EROFS_FLAT_PLAIN;
	return offset;
}

static uint64_t node_len(const struct erofs_node *n)
{
	uint64_t len = sizeof(struct erofs_inode) + n->xattr_len;

	if (n->layout == EROFS_CHUNK_BASED)
		return align(len, sizeof(struct erofs_chunk)) +
		       n->chunk_count * sizeof(struct erofs_chunk);
	return len + n->inline_len;
}

int erofs_plan_make(struct erofs_plan *p, struct tree *t, uint64_t tar_len, struct err *e)
{
	uint64_t at = INODES_OFFSET, blocks = 0;
	int r;

	p->tar_len = tar_len;
	p->xattrs = erofs_xattrs_new();
	if (tar_len / EROFS_BLOCK >= EROFS_NULL_BLOCK)
		return err_set(e, ENOTSUP, "a tar of more than 2 TiB");
	collect(p, t);
	p->shared_len = erofs_xattrs_place(p->xattrs);
	for (size_t i = 0; i < p->count; i++) {
		struct erofs_node *n = &p->nodes[i];

		r = measure(p, n, e);
		if (r < 0)
			return r;
		n->offset = inode_offset(n, align(at, EROFS_SLOT));
		at = n->offset + node_len(n);
		if (n->layout == EROFS_CHUNK_BASED)
			continue;
		n->first_block = (uint32_t)blocks;
		blocks += align(n->size - n->inline_len, EROFS_BLOCK) / EROFS_BLOCK;
	}
	p->xattr_offset = align(at, EROFS_BLOCK);
	p->data_offset = align(p->xattr_offset + p->shared_len, EROFS_BLOCK);
	p->len = p->data_offset + blocks * EROFS_BLOCK;
	if (p->len > UINT32_MAX)
		return err_set(e, E2BIG, "a tree of %" PRIu64 " bytes", p->len);
	return 0;
}

void erofs_plan_release(struct erofs_plan *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->nodes[i].names);
	free(p->nodes);
	erofs_xattrs_free(p->xattrs);
}
