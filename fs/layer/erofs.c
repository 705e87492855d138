/* Writes what erofs_plan.c has laid out, from front to back. Must not know tar or indexes. */
#include "fs/layer/erofs.h"

#include "fs/layer/erofs_plan.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct writer {
	const struct erofs_plan *plan;
	FILE *file;
	uint64_t at;
};

static void put(struct writer *w, const void *data, size_t len)
{
	fwrite(data, 1, len, w->file);
	w->at += len;
}

static void pad_to(struct writer *w, uint64_t offset)
{
	static const char zeros[EROFS_BLOCK];

	while (w->at < offset) {
		uint64_t n = offset - w->at;

		put(w, zeros, n < sizeof(zeros) ? (size_t)n : sizeof(zeros));
	}
}

static uint64_t nid_of(const struct erofs_plan *p, const struct tree_inode *ino)
{
	return erofs_plan_node(p, ino)->offset / EROFS_SLOT;
}

static void write_super(struct writer *w)
{
	const struct erofs_plan *p = w->plan;
	struct erofs_super s = {
		.magic = htole32(EROFS_MAGIC),
		.feature_compat = htole32(EROFS_COMPAT_MTIME),
		.feature_incompat =
			htole32(EROFS_INCOMPAT_CHUNKED_FILE | EROFS_INCOMPAT_DEVICE_TABLE),
		.block_bits = EROFS_BLOCK_BITS,
		.root_nid = htole16((uint16_t)(p->nodes[0].offset / EROFS_SLOT)),
		.inode_count = htole64(p->count),
		.block_count = htole32((uint32_t)(p->len / EROFS_BLOCK)),
		.xattr_block = htole32((uint32_t)(p->xattr_offset / EROFS_BLOCK)),
		.extra_devices = htole16(1),
		.device_slot = htole16((EROFS_SUPER_OFFSET + sizeof(struct erofs_super)) /
				       sizeof(struct erofs_device)),
	};
	struct erofs_device d = {
		.block_count = htole32((uint32_t)((p->tar_len + EROFS_BLOCK - 1) / EROFS_BLOCK)),
	};

	pad_to(w, EROFS_SUPER_OFFSET);
	put(w, &s, sizeof(s));
	put(w, &d, sizeof(d));
}

static uint8_t dirent_type(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return 1;
	case S_IFDIR:
		return 2;
	case S_IFCHR:
		return 3;
	case S_IFBLK:
		return 4;
	case S_IFIFO:
		return 5;
	default:
		return 7; /* a symbolic link */
	}
}

/* One block of a directory at a time: entries first, their names behind them. */
struct dir_block {
	unsigned char bytes[EROFS_BLOCK];
	struct erofs_dirent entries[EROFS_BLOCK / sizeof(struct erofs_dirent)];
	char names[EROFS_BLOCK];
	uint32_t count, names_len;
};

static uint32_t block_used(const struct dir_block *b)
{
	return b->count * (uint32_t)sizeof(b->entries[0]) + b->names_len;
}

static uint32_t block_close(struct dir_block *b)
{
	uint32_t head = b->count * (uint32_t)sizeof(b->entries[0]), len = block_used(b);

	for (uint32_t i = 0; i < b->count; i++)
		b->entries[i].name_offset = htole16((uint16_t)(b->entries[i].name_offset + head));
	memset(b->bytes, 0, sizeof(b->bytes));
	memcpy(b->bytes, b->entries, head);
	memcpy(b->bytes + head, b->names, b->names_len);
	b->count = b->names_len = 0;
	return len;
}

/* Writes the bytes [from, to) of a directory; to is the end or a multiple of blocks. */
static void write_dir(struct writer *w, const struct erofs_node *n, uint64_t from, uint64_t to)
{
	struct dir_block b = {.count = 0};
	struct erofs_dir_walk at = {0};
	const struct tree_inode *ino;
	uint64_t offset = 0;
	const char *name;
	uint32_t len;

	while (erofs_dir_next(n, &at, &name, &len, &ino)) {
		if (block_used(&b) + sizeof(b.entries[0]) + len > EROFS_BLOCK) {
			block_close(&b);
			if (offset >= from && offset < to)
				put(w, b.bytes, EROFS_BLOCK);
			offset += EROFS_BLOCK;
		}
		b.entries[b.count++] = (struct erofs_dirent){
			.nid = htole64(nid_of(w->plan, ino)),
			.name_offset = (uint16_t)b.names_len,
			.type = dirent_type(ino->mode),
		};
		memcpy(b.names + b.names_len, name, len);
		b.names_len += len;
	}
	len = block_close(&b);
	if (offset >= from && offset < to)
		put(w, b.bytes, len);
}

static void write_data(struct writer *w, const struct erofs_node *n, uint64_t from, uint64_t to)
{
	if (S_ISDIR(n->inode->mode))
		write_dir(w, n, from, to);
	else if (S_ISLNK(n->inode->mode))
		put(w, n->inode->target + from, (size_t)(to - from));
}

/* The chunks of a file: where in the tar each begins, or a hole. */
static void write_chunks(struct writer *w, const struct erofs_node *n)
{
	const struct tree_inode *ino = n->inode;
	uint32_t at = 0;

	for (uint32_t i = 0; i < n->chunk_count; i++) {
		uint64_t offset = (uint64_t)i << n->chunk_bits, pos = ino->pos + offset;
		struct erofs_chunk c = {.block = EROFS_NULL_BLOCK};
		bool hole = false;

		if (ino->sparse) {
			const struct tar_segment *s = ino->segments;

			while (at < ino->segment_count && s[at].offset + s[at].len <= offset)
				at++;
			hole = at == ino->segment_count || s[at].offset > offset;
			pos = hole ? 0 : s[at].pos + (offset - s[at].offset);
		}
		if (!hole) {
			c.device = htole16(1);
			c.block = htole32((uint32_t)(pos / EROFS_BLOCK));
		}
		put(w, &c, sizeof(c));
	}
}

static uint32_t data_word(const struct writer *w, const struct erofs_node *n)
{
	const struct tree_inode *ino = n->inode;

	if (S_ISCHR(ino->mode) || S_ISBLK(ino->mode)) /* the kernel's new_encode_dev() */
		return (ino->minor & 0xff) | ino->major << 8 | (ino->minor & ~0xffu) << 12;
	if (n->layout == EROFS_CHUNK_BASED)
		return EROFS_CHUNK_INDEXES | (uint32_t)(n->chunk_bits - EROFS_BLOCK_BITS);
	if (n->size > n->inline_len)
		return (uint32_t)(w->plan->data_offset / EROFS_BLOCK) + n->first_block;
	return 0;
}

static void write_inode(struct writer *w, const struct erofs_node *n)
{
	const struct tree_inode *ino = n->inode;
	struct erofs_inode i = {
		.format = htole16((uint16_t)(1 | n->layout << 1)),
		.mode = htole16((uint16_t)ino->mode),
		.size = htole64(n->size),
		.data = htole32(data_word(w, n)),
		.no = htole32((uint32_t)ino->mark),
		.uid = htole32(ino->uid),
		.gid = htole32(ino->gid),
		.mtime_s = htole64((uint64_t)ino->mtime_s),
		.mtime_ns = htole32(ino->mtime_ns),
		.nlink = htole32(ino->nlink),
	};

	if (n->xattr_len)
		i.xattr_slots = htole16(
			(uint16_t)((n->xattr_len - sizeof(struct erofs_xattr_head)) / 4 + 1));
	pad_to(w, n->offset);
	put(w, &i, sizeof(i));
	if (n->xattr_len) {
		erofs_xattrs_write(w->plan->xattrs, ino, w->file);
		w->at += n->xattr_len;
	}
	if (n->layout == EROFS_CHUNK_BASED) {
		pad_to(w, (w->at + sizeof(struct erofs_chunk) - 1) / sizeof(struct erofs_chunk) *
				  sizeof(struct erofs_chunk));
		write_chunks(w, n);
	} else if (n->inline_len) {
		write_data(w, n, n->size - n->inline_len, n->size);
	}
}

static void write_all(struct writer *w)
{
	const struct erofs_plan *p = w->plan;

	write_super(w);
	for (size_t i = 0; i < p->count; i++)
		write_inode(w, &p->nodes[i]);
	pad_to(w, p->xattr_offset);
	erofs_xattrs_write_shared(p->xattrs, w->file);
	w->at += p->shared_len;
	for (size_t i = 0; i < p->count; i++) {
		const struct erofs_node *n = &p->nodes[i];

		if (n->layout == EROFS_CHUNK_BASED || n->size <= n->inline_len)
			continue;
		pad_to(w, p->data_offset + (uint64_t)n->first_block * EROFS_BLOCK);
		write_data(w, n, 0, n->size - n->inline_len);
	}
	pad_to(w, p->len);
}

int erofs_write(struct tree *t, uint64_t tar_len, FILE *file, struct erofs_summary *out,
		struct err *e)
{
	cleanup(erofs_plan_release) struct erofs_plan plan = {0};
	struct writer w = {.plan = &plan, .file = file};
	int r = erofs_plan_make(&plan, t, tar_len, e);

	if (r < 0)
		return r;
	errno = 0;
	write_all(&w);
	if (ferror(file) || fflush(file) != 0)
		return err_set(e, errno ? errno : EIO, "writing the tree's image");
	*out = (struct erofs_summary){.len = plan.len, .inode_count = plan.count};
	return 0;
}
