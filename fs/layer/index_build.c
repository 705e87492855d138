/*
 * Builds an index while the layer streams by: compressed bytes -> inflate -> tar parser -> tree,
 * with digests of both sides. Windows of checkpoints go to a temporary file at once, so memory
 * grows with the tree only. Must not know where the bytes come from.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "fs/layer/index.h"
#include "fs/layer/index_write.h"
#include "fs/layer/inflate.h"
#include "fs/layer/landmark.h"
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
	uint64_t in_len, out_len, prefetch_len;
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

static int took_bytes(void *arg, const void *data, size_t len, struct err *e);
static int took_place(void *arg, const struct inflate_place *place, struct err *e);
static int took_entry(void *arg, const struct tar_entry *entry, struct err *e);

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
	b->windows_fd = index_temporary(b->dir, e);
	if (b->windows_fd < 0) {
		int r = b->windows_fd;

		index_build_free(b);
		return r;
	}
	sink.span_len = b->options.span_len ? b->options.span_len : SPAN_LEN_DEFAULT;
	b->inflate = inflate_new(&sink);
	b->tree = tree_new(b->options.user_xattrs);
	b->parser = tar_parser_new(took_entry, b);
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

static int took_entry(void *arg, const struct tar_entry *entry, struct err *e)
{
	struct index_build *b = arg;

	if (landmark_is_prefetch(entry))
		b->prefetch_len = entry->pos;
	return tree_add(b->tree, entry, e);
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
	memcpy(info->id, info->digest, sizeof(info->id));
	info->compression = inflate_compression(b->inflate);
	info->toc = toc_kind(b->tail, b->tail_len, b->in_len);
	info->compressed_len = b->in_len;
	info->len = b->out_len;
	info->span_len_max = span_len_max(b);
	info->checkpoint_count = b->record_count;
	info->implied_dirs = tree_implied_dirs(b->tree);
	info->prefetch_len = b->prefetch_len;
	r = check_digest("digest", b->digest, info->digest, e);
	return r < 0 ? r : check_digest("diff id", b->diff_id, info->diff_id, e);
}

static int put_windows(struct index_build *b, struct index_writer *w, struct err *e)
{
	char part[65536];
	int r = 0;

	index_writer_begin(w, INDEX_WINDOWS);
	for (uint64_t at = 0; r == 0 && at < b->windows_len; at += sizeof(part)) {
		uint64_t n = b->windows_len - at;

		if (n > sizeof(part))
			n = sizeof(part);
		r = index_pread(b->windows_fd, at, part, n, e);
		if (r == 0)
			r = index_writer_put(w, part, n, e);
	}
	index_writer_end(w, b->windows_len);
	return r;
}

static int put_records(struct index_build *b, struct index_writer *w, struct err *e)
{
	size_t raw = b->record_count * sizeof(*b->records);
	int r;

	index_writer_begin(w, INDEX_CHECKPOINTS);
	r = index_writer_put_frame(w, b->records, raw, e);
	index_writer_end(w, raw);
	return r;
}

static int put_blocks(struct index_build *b, struct index_writer *w, struct err *e)
{
	int r = 0;

	index_writer_begin(w, INDEX_BLOCKS);
	if (b->blocks.len)
		r = index_writer_put(w, b->blocks.data, b->blocks.len, e);
	index_writer_end(w, b->blocks.len);
	return r;
}

static int write_file(struct index_build *b, int fd, struct layer_info *info, struct err *e)
{
	struct index_writer w cleanup(index_writer_release);
	int r;

	index_writer_init(&w, fd);
	r = put_windows(b, &w, e);
	if (r == 0)
		r = put_records(b, &w, e);
	if (r == 0)
		r = put_blocks(b, &w, e);
	if (r == 0)
		r = index_writer_put_tree(&w, b->tree, b->dir, info, e);
	return r == 0 ? index_writer_finish(&w, info, e) : r;
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
