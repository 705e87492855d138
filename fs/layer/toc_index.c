/* From a table of contents to an index: the tree as of a tar, the layout by rule. Must not know
 * where the table's bytes come from. */
#include "fs/layer/toc_index.h"

#include "base/buf.h"
#include "base/mem.h"
#include "fs/layer/index.h"
#include "fs/layer/index_write.h"
#include "fs/layer/inflate.h"
#include "fs/layer/landmark.h"
#include "fs/layer/toc_table.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define TOC_NAME "stargz.index.json"

struct toc_build {
	const struct toc_layer *layer;
	struct tree *tree;
	struct buf chunks; /* struct index_chunk, behind the table's digest */
	uint64_t len, block_from, prefetch_len, span_len_max;
	uint64_t file_left; /* bytes that the last file still lacks */
	uint64_t file_at;
	struct index_chunk last; /* in the host's byte order; len 0 = none yet */
};

/* ---- the table's bytes */

static int take_inflated(void *arg, const void *data, size_t len, struct err *e)
{
	struct buf *b = arg;

	buf_append(b, data, len);
	return b->overflow ? err_set(e, E2BIG, "a table of contents of more than %llu bytes",
				     TOC_LEN_MAX)
			   : 0;
}

static int inflate_table(const struct toc_layer *l, const void *table, struct buf *out,
			 struct err *e)
{
	const struct inflate_sink sink = {.bytes = take_inflated, .arg = out};
	const struct inflate_place place = {.fresh = true};
	cleanup(inflate_free_at) struct inflate *f = NULL;
	bool gzip = l->place.kind == LAYER_TOC_ESTARGZ;
	int r = inflate_new_at(&sink, gzip ? LAYER_GZIP : LAYER_ZSTD, &place, &f, e);

	if (r == 0)
		r = inflate_feed(f, table, l->place.stored_len, e);
	return r == 0 ? inflate_end(f, e) : r;
}

static int check_digest(const struct toc_layer *l, const void *data, size_t len, struct err *e)
{
	char is[DIGEST_HEX_LEN + 1];

	sha256_hex(data, len, is);
	if (strcmp(is, l->toc_digest) == 0)
		return 0;
	return err_set(e, EBADMSG, "layer's table of contents is sha256:%s, not sha256:%s", is,
		       l->toc_digest);
}

/* ---- the layout */

static uint64_t align(uint64_t v)
{
	return (v + INDEX_SECTOR - 1) / INDEX_SECTOR * INDEX_SECTOR;
}

/* It follows the last one, in the layer and in the blob. */
static int put_chunk(struct toc_build *b, struct index_chunk *k, struct err *e)
{
	uint32_t flags = k->flags;
	struct index_chunk stored;
	bool first = b->last.len == 0;

	if (!first &&
	    (k->in_offset < b->last.in_offset ||
	     (k->in_offset == b->last.in_offset && k->inner < index_chunk_inner_end(&b->last))))
		return err_set(e, ENOTSUP, "chunks that are not in the order of their files");
	k->out_offset = b->len;
	if (first || b->len + k->len - b->block_from > LAYER_BLOCK_LEN) {
		flags |= INDEX_CHUNK_BLOCK;
		b->block_from = b->len;
	}
	stored = *k;
	stored.in_offset = htole64(k->in_offset);
	stored.inner = htole64(k->inner);
	stored.out_offset = htole64(k->out_offset);
	stored.len = htole32(k->len);
	stored.flags = htole32(flags);
	buf_append(&b->chunks, &stored, sizeof(stored));
	if (b->chunks.overflow)
		return err_set(e, E2BIG, "more than %u chunks", INDEX_CHUNK_COUNT_MAX);
	if (k->inner + k->len > b->span_len_max)
		b->span_len_max = k->inner + k->len;
	if (b->len + k->len - b->block_from > b->span_len_max)
		b->span_len_max = b->len + k->len - b->block_from;
	b->len += k->len;
	b->last = *k;
	return 0;
}

/* The blob has none of it: it stands where the last one ended. */
static int put_zeros(struct toc_build *b, uint64_t len, struct err *e)
{
	int r = 0;

	while (r == 0 && len > 0) {
		struct index_chunk k = {.in_offset = b->last.in_offset,
					.inner = index_chunk_inner_end(&b->last),
					.len = len < LAYER_BLOCK_LEN ? (uint32_t)len
								     : LAYER_BLOCK_LEN,
					.flags = INDEX_CHUNK_ZEROS};

		len -= k.len;
		r = put_chunk(b, &k, e);
	}
	return r;
}

static int add_chunk(struct toc_build *b, const struct toc_chunk *c, struct err *e)
{
	uint64_t len = c->len ? c->len : b->file_left;
	struct index_chunk k = {.in_offset = c->offset, .inner = c->inner};

	if (c->file_offset != b->file_at || len > b->file_left)
		return err_set(e, EBADMSG, "a file whose chunks do not fit together");
	b->file_at += len;
	b->file_left -= len;
	if (c->zeros)
		return put_zeros(b, len, e);
	if (!c->has_digest)
		return err_set(e, ENOTSUP, "a chunk without a digest");
	if (len > INDEX_CHUNK_LEN_MAX || c->inner > INDEX_LAYER_LEN_MAX)
		return err_set(e, ENOTSUP, "a chunk of %" PRIu64 " bytes", len);
	if (c->offset >= b->layer->place.offset && b->layer->place.kind == LAYER_TOC_ZSTD_CHUNKED)
		return err_set(e, EBADMSG, "a chunk behind the table of contents");
	if (c->offset >= b->layer->compressed_len)
		return err_set(e, EBADMSG, "a chunk beyond the layer's end");
	k.len = (uint32_t)len;
	memcpy(k.sha256, c->sha256, sizeof(k.sha256));
	return put_chunk(b, &k, e);
}

static int took_entry(void *arg, const struct toc_entry *entry, struct err *e)
{
	struct toc_build *b = arg;
	struct tar_entry t = entry->tar;
	int r;

	if (entry->more)
		return b->file_left ? add_chunk(b, &entry->chunk, e)
				    : err_set(e, EBADMSG, "a chunk of no file");
	if (b->file_left)
		return err_set(e, EBADMSG, "a file that lacks chunks");
	b->len = align(b->len);
	if (t.size > INDEX_LAYER_LEN_MAX - b->len)
		return err_set(e, ENOTSUP, "a layer of more than 2 TiB");
	t.pos = b->len;
	if (landmark_is_prefetch(&t))
		b->prefetch_len = b->len;
	r = tree_add(b->tree, &t, e);
	if (r < 0 || t.size == 0)
		return r;
	b->file_left = t.size;
	b->file_at = 0;
	return add_chunk(b, &entry->chunk, e);
}

/* ---- eStargz: the table is a file of the layer, too */

static int took_tar_entry(void *arg, const struct tar_entry *t, struct err *e)
{
	struct tar_entry *file = arg;

	if (t->type != TAR_FILE || t->sparse || strcmp(t->path, TOC_NAME) != 0 || file->path)
		return err_set(e, EBADMSG, "the table of contents is not where the footer says");
	*file = *t;
	/* What it borrows goes. */
	file->path = TOC_NAME;
	file->link = "";
	file->xattrs = NULL;
	file->xattr_count = 0;
	return 0;
}

/* Where in the tar the table's JSON is. */
static int find_json(const struct buf *tar, struct tar_entry *file, struct err *e)
{
	struct tar_parser *p = tar_parser_new(took_tar_entry, file);
	int r = tar_parser_feed(p, tar->data, tar->len, e);

	tar_parser_free(p);
	if (r < 0)
		return r;
	if (!file->path || file->pos > tar->len || file->size > tar->len - file->pos)
		return err_set(e, EBADMSG, "the table of contents is cut short");
	return 0;
}

/* ---- all together */

static int parse_table(struct toc_build *b, const struct buf *raw, struct err *e)
{
	const struct toc_layer *l = b->layer;
	struct tar_entry file = {.size = raw->len};
	struct toc_entry own = {.more = false};
	char hex[DIGEST_HEX_LEN + 1];
	int r = l->place.kind == LAYER_TOC_ESTARGZ ? find_json(raw, &file, e) : 0;

	if (r == 0 && !l->of_stored)
		r = check_digest(l, raw->data + file.pos, file.size, e);
	if (r == 0)
		r = toc_table_parse(raw->data + file.pos, file.size, took_entry, b, e);
	if (r == 0 && b->file_left)
		r = err_set(e, EBADMSG, "a file that lacks chunks");
	if (r < 0 || l->place.kind != LAYER_TOC_ESTARGZ)
		return r;
	own.tar = file;
	own.chunk = (struct toc_chunk){
		.offset = l->place.offset, .inner = file.pos, .has_digest = true};
	sha256_hex(raw->data + file.pos, file.size, hex);
	index_hex_pack(hex, own.chunk.sha256);
	return took_entry(b, &own, e);
}

static int take_table(struct toc_build *b, const void *table, struct err *e)
{
	struct buf raw cleanup(buf_release) = BUF_INIT(TOC_LEN_MAX);
	const struct toc_layer *l = b->layer;
	int r = l->of_stored ? check_digest(l, table, l->place.stored_len, e) : 0;

	if (r == 0)
		r = inflate_table(l, table, &raw, e);
	if (r == 0)
		r = parse_table(b, &raw, e);
	if (r == 0)
		r = tree_end(b->tree, e);
	b->len = align(b->len);
	return r;
}

static void fill_info(const struct toc_build *b, struct layer_info *info)
{
	const struct toc_layer *l = b->layer;

	*info = (struct layer_info){
		.compression = l->place.kind == LAYER_TOC_ESTARGZ ? LAYER_GZIP : LAYER_ZSTD,
		.toc = l->place.kind,
		.compressed_len = l->compressed_len,
		.len = b->len,
		.span_len_max = b->span_len_max,
		.checkpoint_count =
			(uint32_t)((b->chunks.len - INDEX_DIGEST_LEN) / sizeof(struct index_chunk)),
		.implied_dirs = tree_implied_dirs(b->tree),
		.prefetch_len = b->prefetch_len,
	};
	strcpy(info->digest, l->digest);
	strcpy(info->diff_id, l->diff_id);
	strcpy(info->toc_digest, l->toc_digest);
	index_toc_id(l->digest, l->toc_digest, l->diff_id, info->id);
}

static int write_file(struct toc_build *b, int fd, struct layer_info *info, struct err *e)
{
	struct index_writer w cleanup(index_writer_release);
	int r;

	index_writer_init(&w, fd);
	index_writer_begin(&w, INDEX_WINDOWS);
	index_writer_end(&w, 0);
	index_writer_begin(&w, INDEX_CHECKPOINTS);
	index_writer_end(&w, 0);
	index_writer_begin(&w, INDEX_BLOCKS);
	r = index_writer_put_frame(&w, b->chunks.data, b->chunks.len, e);
	index_writer_end(&w, b->chunks.len);
	if (r == 0)
		r = index_writer_put_tree(&w, b->tree, b->layer->dir, info, e);
	return r == 0 ? index_writer_finish(&w, info, e) : r;
}

int toc_index_write(const struct toc_layer *l, const void *table, int fd,
		    struct layer_info *info_out, struct err *e)
{
	struct toc_build b = {
		.layer = l,
		.tree = tree_new(false),
		.chunks = BUF_INIT(INDEX_DIGEST_LEN +
				   INDEX_CHUNK_COUNT_MAX * sizeof(struct index_chunk)),
	};
	uint8_t digest[INDEX_DIGEST_LEN];
	struct layer_info info;
	int r;

	index_hex_pack(l->toc_digest, digest);
	buf_append(&b.chunks, digest, sizeof(digest));
	r = take_table(&b, table, e);
	if (r == 0) {
		fill_info(&b, &info);
		r = write_file(&b, fd, &info, e);
	}
	if (r == 0 && info_out)
		*info_out = info;
	tree_free(b.tree);
	buf_release(&b.chunks);
	return r;
}
