/*
 * Builds an index while the layer streams by: compressed bytes -> inflate -> tar parser -> tree,
 * with digests of both sides. Windows of checkpoints go to a temporary file at once, so memory
 * grows with the tree only. Must not know where the bytes come from.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "fs/layer/erofs.h"
#include "fs/layer/index.h"
#include "fs/layer/index_format.h"
#include "fs/layer/inflate.h"
#include "fs/layer/toc.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <zstd.h>

#define SPAN_LEN_DEFAULT (2 * 1024 * 1024)
#define LEVEL		 3

struct index_build {
	struct index_options options;
	char *dir, *digest, *diff_id;
	struct inflate *inflate;
	struct tar_parser *parser;
	struct tree *tree;
	struct sha256 *in_sum; /* NULL: the caller sees to the blob's digest */
	struct sha256 *out_sum;
	uint64_t in_len, out_len;
	size_t block_len; /* of the block that out_sum is in */
	struct buf blocks;
	struct index_record *records;
	uint32_t record_count;
	int windows_fd;
	uint64_t windows_len;
	ZSTD_CCtx *zstd;
	unsigned char tail[TOC_TAIL_LEN]; /* the last bytes of the blob */
	size_t tail_len;
};

static int temporary(const char *dir, struct err *e)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(e, errno, "a temporary file in %s", dir);
	return fd;
}

static int took_bytes(void *arg, const void *data, size_t len, struct err *e);
static int took_place(void *arg, const struct inflate_place *place, struct err *e);

int index_build_new(const struct index_options *options, struct index_build **out, struct err *e)
{
	static const struct index_options none;
	struct index_build *b = mem_new(struct index_build);
	struct inflate_sink sink = {.bytes = took_bytes, .place = took_place, .arg = b};

	b->options = options ? *options : none;
	b->dir = mem_strdup(b->options.dir ? b->options.dir : "/var/tmp");
	b->digest = mem_strdup(b->options.digest);
	b->diff_id = mem_strdup(b->options.diff_id);
	assert(b->digest || !b->options.digest_is_checked);
	b->windows_fd = temporary(b->dir, e);
	if (b->windows_fd < 0) {
		int r = b->windows_fd;

		index_build_free(b);
		return r;
	}
	sink.span_len = b->options.span_len ? b->options.span_len : SPAN_LEN_DEFAULT;
	b->inflate = inflate_new(&sink);
	b->tree = tree_new(b->options.user_xattrs);
	b->parser = tar_parser_new(tree_add, b->tree);
	if (!b->options.digest_is_checked)
		b->in_sum = sha256_new();
	b->out_sum = sha256_new();
	b->blocks.len_max = INDEX_LAYER_LEN_MAX / LAYER_BLOCK_LEN * 32;
	b->zstd = ZSTD_createCCtx();
	if (!b->zstd)
		abort();
	ZSTD_CCtx_setParameter(b->zstd, ZSTD_c_compressionLevel, LEVEL);
	*out = b;
	return 0;
}

void index_build_free(struct index_build *b)
{
	if (!b)
		return;
	inflate_free(b->inflate);
	tar_parser_free(b->parser);
	tree_free(b->tree);
	sha256_free(b->in_sum);
	sha256_free(b->out_sum);
	buf_release(&b->blocks);
	free(b->records);
	close_at(&b->windows_fd);
	ZSTD_freeCCtx(b->zstd);
	free(b->dir);
	free(b->digest);
	free(b->diff_id);
	free(b);
}

/* One sum for all: where it stands after a block is what the block is known by. */
static void sum(struct index_build *b, const unsigned char *data, size_t len)
{
	while (len) {
		size_t n = LAYER_BLOCK_LEN - b->block_len;
		uint8_t state[SHA256_STATE_LEN];

		if (n > len)
			n = len;
		sha256_update(b->out_sum, data, n);
		b->block_len += n;
		data += n;
		len -= n;
		if (b->block_len < LAYER_BLOCK_LEN)
			continue;
		sha256_state(b->out_sum, state);
		buf_append(&b->blocks, state, sizeof(state));
		b->block_len = 0;
	}
}

static void sum_end(struct index_build *b, char diff_id[DIGEST_HEX_LEN + 1])
{
	uint8_t last[32];

	sha256_final(b->out_sum, diff_id);
	if (b->block_len == 0)
		return;
	index_hex_pack(diff_id, last);
	buf_append(&b->blocks, last, sizeof(last));
}

static int took_bytes(void *arg, const void *data, size_t len, struct err *e)
{
	struct index_build *b = arg;
	uint64_t offset = b->out_len;
	int r = 0;

	b->out_len += len;
	if (b->out_len > INDEX_LAYER_LEN_MAX)
		return err_set(e, ENOTSUP, "a layer of more than 2 TiB");
	sum(b, data, len);
	if (b->options.pass)
		r = b->options.pass(b->options.arg, offset, data, len, e);
	return r < 0 ? r : tar_parser_feed(b->parser, data, len, e);
}

static int store_window(struct index_build *b, const struct inflate_place *place,
			struct index_record *rec, struct err *e)
{
	char stored[ZSTD_COMPRESSBOUND(INDEX_WINDOW_LEN)];
	size_t n =
		ZSTD_compress2(b->zstd, stored, sizeof(stored), place->window, place->window_len);
	int r;

	if (ZSTD_isError(n))
		return err_set(e, EIO, "compressing a window: %s", ZSTD_getErrorName(n));
	r = index_pwrite(b->windows_fd, b->windows_len, stored, n, e);
	rec->window_offset = htole64(b->windows_len);
	rec->window_stored_len = htole32((uint32_t)n);
	rec->window_raw_len = htole32((uint32_t)place->window_len);
	rec->window_xxh3 = htole64(xxh3_of(place->window, place->window_len));
	b->windows_len += n;
	return r;
}

static int took_place(void *arg, const struct inflate_place *place, struct err *e)
{
	struct index_build *b = arg;
	struct index_record rec = {
		.in_offset = htole64(place->in_offset),
		.out_offset = htole64(place->out_offset),
		.flags = htole32((place->fresh ? INDEX_RECORD_FRESH : 0) |
				 (uint32_t)place->bit_count << 8),
	};
	uint32_t n = b->record_count;
	int r = place->fresh ? 0 : store_window(b, place, &rec, e);

	if (r < 0)
		return r;
	/* One place for plain bytes: any other can be computed. */
	if (n && inflate_compression(b->inflate) == LAYER_PLAIN)
		return 0;
	if (n == INDEX_CHECKPOINT_COUNT_MAX)
		return err_set(e, E2BIG, "more than %u checkpoints", n);
	if ((n & (n - 1)) == 0)
		b->records = mem_realloc(b->records, (n ? 2 * (size_t)n : 1) * sizeof(rec));
	b->records[b->record_count++] = rec;
	return 0;
}

static void keep_tail(struct index_build *b, const unsigned char *data, size_t len)
{
	size_t keep = b->tail_len;

	if (len >= TOC_TAIL_LEN) {
		memcpy(b->tail, data + len - TOC_TAIL_LEN, TOC_TAIL_LEN);
		b->tail_len = TOC_TAIL_LEN;
		return;
	}
	if (keep > TOC_TAIL_LEN - len)
		keep = TOC_TAIL_LEN - len;
	memmove(b->tail, b->tail + b->tail_len - keep, keep);
	memcpy(b->tail + keep, data, len);
	b->tail_len = keep + len;
}

int index_build_feed(struct index_build *b, const void *data, size_t len, struct err *e)
{
	if (!len)
		return 0;
	b->in_len += len;
	if (b->in_sum)
		sha256_update(b->in_sum, data, len);
	keep_tail(b, data, len);
	return inflate_feed(b->inflate, data, len, e);
}

static int check_digest(const char *what, const char *want, const char *is, struct err *e)
{
	if (want && strcmp(want, is) != 0)
		return err_set(e, EBADMSG, "the layer's %s is sha256:%s, not sha256:%s", what, is,
			       want);
	return 0;
}

/* The longest way from a checkpoint to the next. */
static uint64_t span_len_max(const struct index_build *b)
{
	uint64_t max = 0;

	if (inflate_compression(b->inflate) == LAYER_PLAIN)
		return 0;
	for (uint32_t i = 0; i < b->record_count; i++) {
		uint64_t end = i + 1 < b->record_count ? le64toh(b->records[i + 1].out_offset)
						       : b->out_len;
		uint64_t span = end - le64toh(b->records[i].out_offset);

		max = span > max ? span : max;
	}
	return max;
}

static int info_fill(struct index_build *b, struct layer_info *info, struct err *e)
{
	int r;

	if (b->in_sum)
		sha256_final(b->in_sum, info->digest);
	else
		memcpy(info->digest, b->digest, sizeof(info->digest));
	sum_end(b, info->diff_id);
	info->compression = inflate_compression(b->inflate);
	info->toc = toc_kind(b->tail, b->tail_len, b->in_len);
	info->compressed_len = b->in_len;
	info->len = b->out_len;
	info->span_len_max = span_len_max(b);
	info->checkpoint_count = b->record_count;
	info->implied_dirs = tree_implied_dirs(b->tree);
	r = check_digest("digest", b->digest, info->digest, e);
	return r < 0 ? r : check_digest("diff id", b->diff_id, info->diff_id, e);
}

struct output {
	int fd;
	uint64_t at;
	struct index_section *section;
	struct xxh3 sum;
};

static void section_begin(struct output *o, struct index_head *head, int no)
{
	o->section = &head->sections[no];
	o->section->offset = htole64(o->at);
	xxh3_init(&o->sum);
}

static int section_put(struct output *o, const void *data, size_t len, struct err *e)
{
	int r = index_pwrite(o->fd, o->at, data, len, e);

	xxh3_update(&o->sum, data, len);
	o->at += len;
	return r;
}

static void section_end(struct output *o, uint64_t raw_len)
{
	o->section->stored_len = htole64(o->at - le64toh(o->section->offset));
	o->section->raw_len = htole64(raw_len);
	o->section->xxh3 = htole64(xxh3_final(&o->sum));
}

static int put_windows(struct index_build *b, struct output *o, struct err *e)
{
	char part[65536];
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < b->windows_len; at += sizeof(part)) {
		uint64_t n = b->windows_len - at;

		if (n > sizeof(part))
			n = sizeof(part);
		r = index_pread(b->windows_fd, at, part, n, e);
		if (r == 0)
			r = section_put(o, part, n, e);
	}
	section_end(o, b->windows_len);
	return r;
}

static int put_records(struct index_build *b, struct output *o, struct err *e)
{
	size_t raw = b->record_count * sizeof(*b->records), max = ZSTD_compressBound(raw);
	cleanup(free_at) char *stored = mem_alloc(max);
	size_t n = ZSTD_compress2(b->zstd, stored, max, b->records, raw);
	int r;

	if (ZSTD_isError(n))
		return err_set(e, EIO, "compressing checkpoints: %s", ZSTD_getErrorName(n));
	r = section_put(o, stored, n, e);
	section_end(o, raw);
	return r;
}

static int put_blocks(struct index_build *b, struct output *o, struct err *e)
{
	int r = b->blocks.len ? section_put(o, b->blocks.data, b->blocks.len, e) : 0;

	section_end(o, b->blocks.len);
	return r;
}

/* One frame of all that is in file. */
static int put_compressed(struct index_build *b, FILE *file, struct output *o, struct err *e)
{
	char raw[INDEX_ROOM], stored[INDEX_ROOM];
	bool last = false, flushed;

	while (!last) {
		ZSTD_inBuffer in = {raw, fread(raw, 1, sizeof(raw), file), 0};

		last = in.size < sizeof(raw);
		do {
			ZSTD_outBuffer to = {stored, sizeof(stored), 0};
			size_t left = ZSTD_compressStream2(b->zstd, &to, &in,
							   last ? ZSTD_e_end : ZSTD_e_continue);
			int r;

			if (ZSTD_isError(left))
				return err_set(e, EIO, "compressing the tree: %s",
					       ZSTD_getErrorName(left));
			r = section_put(o, stored, to.pos, e);
			if (r < 0)
				return r;
			flushed = last ? left == 0 : in.pos == in.size;
		} while (!flushed);
	}
	return ferror(file) ? err_set(e, EIO, "reading the tree's image") : 0;
}

static int put_erofs(struct index_build *b, struct output *o, struct layer_info *info,
		     struct err *e)
{
	int fd = temporary(b->dir, e), r;
	cleanup(fclose_at) FILE *file = fd < 0 ? NULL : fdopen(fd, "w+");
	struct erofs_summary sum;

	if (fd < 0)
		return fd;
	if (!file) {
		close(fd);
		return err_set(e, ENOMEM, "a temporary file");
	}
	r = erofs_write(b->tree, b->out_len, file, &sum, e);
	if (r < 0)
		return r;
	rewind(file);
	info->erofs_len = sum.len;
	info->inode_count = sum.inode_count;
	r = put_compressed(b, file, o, e);
	section_end(o, sum.len);
	return r;
}

static void head_fill(struct index_head *h, const struct layer_info *info)
{
	memcpy(h->magic, INDEX_MAGIC, sizeof(h->magic));
	h->version = htole32(INDEX_VERSION);
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
	h->xxh3 = htole64(xxh3_of(h, offsetof(struct index_head, xxh3)));
}

static int write_file(struct index_build *b, int fd, struct layer_info *info, struct err *e)
{
	struct index_head head = {.version = 0};
	struct output o = {.fd = fd, .at = INDEX_HEAD_LEN};
	int r;

	section_begin(&o, &head, INDEX_WINDOWS);
	r = put_windows(b, &o, e);
	section_begin(&o, &head, INDEX_CHECKPOINTS);
	if (r == 0)
		r = put_records(b, &o, e);
	section_begin(&o, &head, INDEX_BLOCKS);
	if (r == 0)
		r = put_blocks(b, &o, e);
	section_begin(&o, &head, INDEX_EROFS);
	if (r == 0)
		r = put_erofs(b, &o, info, e);
	if (r < 0)
		return r;
	head_fill(&head, info);
	return index_pwrite(fd, 0, &head, sizeof(head), e);
}

int index_build_end(struct index_build *b, int fd, struct layer_info *info_out, struct err *e)
{
	struct layer_info info = {.len = 0};
	int r = inflate_end(b->inflate, e);

	if (r == 0)
		r = tar_parser_end(b->parser, e);
	if (r == 0)
		r = tree_end(b->tree, e);
	if (r == 0)
		r = info_fill(b, &info, e);
	if (r == 0)
		r = write_file(b, fd, &info, e);
	if (r == 0 && info_out)
		*info_out = info;
	return r;
}
