/* Sections, their checksums, the head. Must not know what checkpoints or chunks are. */
#include "fs/layer/index_write.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "fs/layer/erofs.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define LEVEL 3

int index_temporary(const char *dir, struct err *e)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(e, errno, "a temporary file in %s", dir);
	return fd;
}

void index_writer_init(struct index_writer *w, int fd)
{
	*w = (struct index_writer){.fd = fd, .at = INDEX_HEAD_LEN, .zstd = ZSTD_createCCtx()};
	if (!w->zstd)
		abort();
	ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, LEVEL);
}

void index_writer_release(struct index_writer *w)
{
	ZSTD_freeCCtx(w->zstd);
}

void index_writer_begin(struct index_writer *w, int no)
{
	w->section = &w->head.sections[no];
	w->section->offset = htole64(w->at);
	xxh3_init(&w->sum);
}

int index_writer_put(struct index_writer *w, const void *data, size_t len, struct err *e)
{
	int r = index_pwrite(w->fd, w->at, data, len, e);

	xxh3_update(&w->sum, data, len);
	w->at += len;
	return r;
}

int index_writer_put_frame(struct index_writer *w, const void *data, size_t len, struct err *e)
{
	size_t max = ZSTD_compressBound(len);
	cleanup(free_at) char *stored = mem_alloc(max);
	size_t n = ZSTD_compress2(w->zstd, stored, max, data, len);

	if (ZSTD_isError(n))
		return err_set(e, EIO, "compressing a table: %s", ZSTD_getErrorName(n));
	return index_writer_put(w, stored, n, e);
}

void index_writer_end(struct index_writer *w, uint64_t raw_len)
{
	w->section->stored_len = htole64(w->at - le64toh(w->section->offset));
	w->section->raw_len = htole64(raw_len);
	w->section->xxh3 = htole64(xxh3_final(&w->sum));
}

/* One frame of all that is in file. */
static int put_file(struct index_writer *w, FILE *file, struct err *e)
{
	char raw[INDEX_ROOM], stored[INDEX_ROOM];
	bool last = false, flushed;

	while (!last) {
		ZSTD_inBuffer in = {raw, fread(raw, 1, sizeof(raw), file), 0};

		last = in.size < sizeof(raw);
		do {
			ZSTD_outBuffer to = {stored, sizeof(stored), 0};
			size_t left = ZSTD_compressStream2(w->zstd, &to, &in,
							   last ? ZSTD_e_end : ZSTD_e_continue);
			int r;

			if (ZSTD_isError(left))
				return err_set(e, EIO, "compressing the tree: %s",
					       ZSTD_getErrorName(left));
			r = index_writer_put(w, stored, to.pos, e);
			if (r < 0)
				return r;
			flushed = last ? left == 0 : in.pos == in.size;
		} while (!flushed);
	}
	return ferror(file) ? err_set(e, EIO, "reading the tree's image") : 0;
}

int index_writer_put_tree(struct index_writer *w, struct tree *t, const char *dir,
			  struct layer_info *info, struct err *e)
{
	int fd = index_temporary(dir, e), r;
	cleanup(fclose_at) FILE *file = fd < 0 ? NULL : fdopen(fd, "w+");
	struct erofs_summary sum;

	if (fd < 0)
		return fd;
	if (!file) {
		close(fd);
		return err_set(e, ENOMEM, "a temporary file");
	}
	r = erofs_write(t, info->len, file, &sum, e);
	if (r < 0)
		return r;
	rewind(file);
	info->erofs_len = sum.len;
	info->inode_count = sum.inode_count;
	index_writer_begin(w, INDEX_EROFS);
	r = put_file(w, file, e);
	index_writer_end(w, sum.len);
	info->tree_sum = le64toh(w->head.sections[INDEX_EROFS].xxh3);
	return r;
}

int index_writer_finish(struct index_writer *w, const struct layer_info *info, struct err *e)
{
	struct index_head *h = &w->head;

	memcpy(h->magic, INDEX_MAGIC, sizeof(h->magic));
	h->version = htole32(info->toc_digest[0] ? INDEX_VERSION_TOC : INDEX_VERSION);
	h->head_len = htole32(INDEX_HEAD_LEN);
	index_hex_pack(info->digest, h->digest);
	index_hex_pack(info->diff_id, h->diff_id);
	h->compressed_len = htole64(info->compressed_len);
	h->len = htole64(info->len);
	h->inode_count = htole64(info->inode_count);
	h->span_len_max = htole64(info->span_len_max);
	h->compression = htole32(info->compression);
	h->toc = htole32(info->toc);
	h->checkpoint_count = htole32(info->checkpoint_count);
	h->implied_dirs = htole32(info->implied_dirs);
	h->prefetch_len = htole64(info->prefetch_len);
	h->xxh3 = htole64(xxh3_of(h, offsetof(struct index_head, xxh3)));
	return index_pwrite(w->fd, 0, h, sizeof(*h), e);
}
